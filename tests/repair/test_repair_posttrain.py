"""Rounds of post-training, with functions made by hand for finding, training and measuring."""

import numpy as np
import pytest

from jaxnoisy.detect import Detection
from jaxnoisy.repair import begin, post_train

N = 12
LABELS = np.arange(N) % 3
FLIPS = np.isin(np.arange(N), [0, 4, 8, 9])


class Script:
    """Flags, and accuracies, that are laid down beforehand, and a record of what was asked."""

    def __init__(self, flags, accuracies):
        self.flags, self.accuracies, self.asked, self.trained = flags, accuracies, [], []

    def find(self, model, rows):
        self.asked.append((model, rows))
        flagged = np.isin(rows, self.flags[len(self.asked) - 1])
        return Detection(np.where(flagged, 1.0, 0.0) - rows / 100, flagged, 0.5)

    def train(self, model, kept, number):
        self.trained.append((model, kept.copy(), number))
        return f"{model}+{number}"

    def accuracy(self, model):
        return self.accuracies[model]

    def run(self, *, flips=FLIPS, start=0.5, **options):
        step = post_train(find=self.find, train=self.train, accuracy=self.accuracy, **options)
        state, infos = begin("m", N, start), []
        while not state.finished:
            state, info = step(state, LABELS, flips)
            infos.append(info)
        return state, infos


def test_a_round_that_raises_accuracy_keeps_its_drop():
    script = Script([[0, 1], [4]], {"m+1": 0.6, "m+1+2": 0.7})
    state, infos = script.run()
    assert (state.model, state.accuracy, state.round) == ("m+1+2", 0.7, 2)
    assert np.flatnonzero(~state.kept).tolist() == [0, 1, 4]
    assert [info.removed.tolist() for info in infos] == [[0, 1], [4]]
    assert [info.accepted for info in infos] == [True, True]
    assert [(info.accuracy_before, info.accuracy_after) for info in infos] == [(0.5, 0.6), (0.6, 0.7)]
    assert infos[0].reason == "Kept: validation accuracy went from 0.5000 to 0.6000."


def test_the_next_round_begins_from_the_new_model_and_asks_about_what_is_left():
    script = Script([[0, 1], [4]], {"m+1": 0.6, "m+1+2": 0.7})
    script.run()
    (first, all_rows), (second, rows) = script.asked
    assert (first, second) == ("m", "m+1")
    assert all_rows.tolist() == list(range(N))
    assert rows.tolist() == list(range(2, N))
    assert [np.flatnonzero(~kept).tolist() for _, kept, _ in script.trained] == [[0, 1], [0, 1, 4]]
    assert [number for *_, number in script.trained] == [1, 2]


def test_shares_of_wrong_labels_are_counted_among_what_is_kept():
    _, (first, second) = Script([[0, 1], [4]], {"m+1": 0.6, "m+1+2": 0.5}).run()
    assert (first.noise_before, first.noise_after) == (4 / 12, 3 / 10)
    assert (first.precision, first.recall, first.kept) == (1 / 2, 1 / 4, 10)
    assert (second.precision, second.recall) == (1.0, 1 / 3)
    assert (second.noise_before, second.noise_after, second.kept) == (3 / 10, 3 / 10, 10)  # restored


@pytest.mark.parametrize("after", [0.5, 0.4, float("nan")])
def test_without_a_rise_everything_is_as_before_and_the_rounds_end(after):
    state, (info,) = Script([[0, 1]], {"m+1": after}).run(rounds=5)
    assert (state.model, state.accuracy, state.round) == ("m", 0.5, 1)
    assert state.kept.all()
    assert info.reason.startswith("Restored: ")
    assert info.removed.tolist() == [0, 1]  # what was tried is told
    assert not info.accepted


def test_a_small_rise_does_not_do_where_a_larger_one_is_asked_for():
    script = Script([[0], [1]], {"m+1": 0.56, "m+1+2": 0.6})
    state, infos = script.run(min_gain=0.05)
    assert state.model == "m+1"
    assert "a rise of more than 0.05" in infos[1].reason


def test_nothing_flagged_ends_the_rounds_without_training():
    script = Script([[]], {})
    state, (info,) = script.run()
    assert state.finished
    assert state.model == "m"
    assert script.trained == []
    assert info.reason == "Nothing is flagged among the examples that are left."
    assert np.isnan(info.accuracy_after)
    assert info.precision is None
    assert info.recall == 0.0


def test_a_whole_class_is_never_dropped():
    script = Script([[1, 4, 7, 10, 2]], {})
    state, (info,) = script.run()
    assert script.trained == []
    assert state.kept.all()
    assert state.finished
    assert info.reason.startswith("Refused: all examples left of class 1 are flagged")
    assert "class_floor" in info.reason


def test_a_floor_spares_the_least_suspicious():
    script = Script([[1, 4, 7, 10, 2]], {"m+1": 0.9})
    state, (info,) = script.run(class_floor=2, rounds=1)
    assert info.removed.tolist() == [1, 2, 4]  # scores fall with the row
    assert np.flatnonzero(~state.kept).tolist() == [1, 2, 4]


def test_a_floor_that_spares_everything_ends_the_rounds():
    script = Script([[1, 4]], {})
    _, (info,) = script.run(class_floor=10)
    assert "but 2 that the class floor spares" in info.reason
    assert script.trained == []


@pytest.mark.parametrize("where", ["find", "train", "accuracy"])
def test_a_round_that_diverges_leaves_the_last_good_model(where, monkeypatch):
    script = Script([[0], [4]], {"m+1": 0.6, "m+1+2": 0.9})
    original, calls = getattr(script, where), []

    def diverging(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise FloatingPointError("the loss is nan")
        return original(*arguments)

    monkeypatch.setattr(script, where, diverging)
    state, infos = script.run(rounds=4)
    assert (state.model, state.accuracy, state.round, state.finished) == ("m+1", 0.6, 2, True)
    assert np.flatnonzero(~state.kept).tolist() == [0]
    assert infos[1].reason == "Restored: the loss is nan."
    assert np.isnan(infos[1].accuracy_after)
    assert infos[1].removed.tolist() == ([] if where == "find" else [4])


def test_other_errors_are_not_swallowed(monkeypatch):
    script = Script([[0]], {})
    monkeypatch.setattr(script, "train", lambda *_: (_ for _ in ()).throw(RuntimeError("out of memory")))
    with pytest.raises(RuntimeError, match="out of memory"):
        script.run()


def test_further_measures_are_told_and_decide_nothing():
    def of_tests(model):
        if model == "m+1+2":
            raise FloatingPointError
        return 0.1

    script = Script([[0], [4], [8]], {"m+1": 0.6, "m+1+2": 0.7, "m+1+2+3": 0.1})
    state, infos = script.run(rounds=3, measures={"test": of_tests, "other": lambda model: 0.9})
    assert [info.accepted for info in infos] == [True, True, False]
    assert infos[0].measures == {"test": 0.1, "other": 0.9}
    assert np.isnan(infos[1].measures["test"])
    assert infos[2].measures["other"] == 0.9  # of the model that was tried
    assert state.model == "m+1+2"


def test_without_the_truth_nothing_is_said_about_it():
    _, infos = Script([[0], [4]], {"m+1": 0.6, "m+1+2": 0.7}).run(flips=None)
    for info in infos:
        assert (info.noise_before, info.noise_after, info.precision, info.recall) == (None, None, None, None)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_the_kept_only_shrink_and_a_restored_state_is_the_old_one(seed):
    rng = np.random.default_rng(seed)
    step = post_train(
        find=lambda model, rows: Detection(rng.random(len(rows)), rng.random(len(rows)) < 0.4, None),
        train=lambda model, kept, number: (model, number),
        accuracy=lambda model: rng.random(),
        rounds=6,
        class_floor=1,
    )
    state = begin((), N, 0.2)
    while not state.finished:
        before = state
        state, info = step(before, LABELS, FLIPS)
        assert state.round == info.round == before.round + 1
        assert not (state.kept & ~before.kept).any()
        assert set(LABELS[state.kept]) == {0, 1, 2}
        assert info.kept == state.kept.sum()
        if info.accepted:
            assert state.accuracy > before.accuracy
            assert np.array_equal(np.flatnonzero(before.kept & ~state.kept), info.removed)
        else:
            assert state.finished
            assert state.model is before.model
            assert state.accuracy == before.accuracy
            assert np.array_equal(state.kept, before.kept)
    assert state.round <= 6


def test_the_state_given_is_left_as_it_is():
    script, state = Script([[0, 1]], {"m+1": 0.9}), begin("m", N, 0.5)
    post_train(find=script.find, train=script.train, accuracy=script.accuracy)(state, LABELS)
    assert state.kept.all()
    assert not state.finished


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rounds": 0}, "rounds must be a whole number >= 1"),
        ({"min_gain": -0.1}, "min_gain must be a number >= 0"),
        ({"min_gain": float("nan")}, "min_gain must be a number >= 0"),
        ({"class_floor": 0}, "class_floor must be a whole number >= 1"),
    ],
)
def test_choices_out_of_range_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        post_train(find=None, train=None, accuracy=None, **options)


def test_arguments_that_do_not_fit_the_state_are_refused():
    script = Script([[0]], {"m+1": 0.9})
    step = post_train(find=script.find, train=script.train, accuracy=script.accuracy, rounds=1)
    with pytest.raises(ValueError, match="3 entries for 12 examples"):
        step(begin("m", N, 0.5), LABELS[:3])
    with pytest.raises(ValueError, match=r"flips must be bool of shape \(12,\)"):
        step(begin("m", N, 0.5), LABELS, FLIPS[:3])
    done, _ = step(begin("m", N, 0.5), LABELS)
    with pytest.raises(ValueError, match="finished after round 1"):
        step(done, LABELS)
    with pytest.raises(ValueError, match="accuracy must be a finite number, but is nan"):
        begin("m", N, float("nan"))


def test_a_detection_of_other_examples_is_refused():
    step = post_train(
        find=lambda model, rows: Detection(np.zeros(3), np.zeros(3, bool), None), train=None, accuracy=None
    )
    with pytest.raises(ValueError, match="asked about 12 examples, but gave scores of shape"):
        step(begin("m", N, 0.5), LABELS)
