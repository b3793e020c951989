"""A whole repair of clouds of points with wrong labels."""

import dataclasses

import numpy as np
import pytest
from blobs import DATA, TEST, VALIDATION, DenseHead, assert_same, logits_of, short, softmax
from flax import nnx

from jaxnoisy.data import make
from jaxnoisy.refine import longer, refine
from jaxnoisy.refine import loop as rounds_of
from jaxnoisy.refine.subject import Weights, apart
from jaxnoisy.repair import relabel
from jaxnoisy.training import fit
from jaxnoisy.training.checkpoint import Checkpoints, restore_part
from jaxnoisy.training.network import functional
from jaxnoisy.training.trained import Trained, load, start, train

POST, ANEW = short(4, seed=5), short(12)
OPTIONS = {"config": POST, "anew": ANEW, "test": TEST, "gamma": 0.6, "relabel_above": 0.4}
WHOLE = make(np.concatenate([DATA.inputs, TEST.inputs]), np.concatenate([DATA.labels, TEST.labels]))


@pytest.fixture(scope="module")
def trained():
    return train(DATA, model="linear", config=short(10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("repair")


@pytest.fixture(scope="module")
def repaired(trained, folder):
    epochs = []
    done = refine(
        DATA,
        VALIDATION,
        trained,
        checkpoints=folder / "checkpoints",
        whole=WHOLE,
        on_epoch=lambda name, report, total: epochs.append((name, report.epoch, report.examples, total)),
        **OPTIONS,
    )
    return *done, epochs


def accuracy_of(trained, data):
    return float((logits_of(trained, data).argmax(axis=1) == data.labels).mean())


def dense(trained, curved=DATA):
    head = trained.model.head
    return DenseHead(head.kernel[...], head.bias[...], trained.scale, curved, 0.01)


def last_of_rounds(trained, folder):
    """The model that the rounds ended with, from their checkpoint."""
    network, params, rest = functional(trained.model)
    found, _ = restore_part(folder / "checkpoints" / "rounds", {"params": params, "rest": rest})
    return Trained(network.merge(found["params"], found["rest"]), trained.scale)


def test_records_of_the_rounds_agree_with_what_was_dropped(repaired):
    found, _, epochs = repaired
    assert found.rounds[0].accepted, found.rounds[0].reason
    dropped = [info.removed for info in found.rounds if info.accepted]
    for number, rows in enumerate(dropped, start=1):
        assert np.flatnonzero(found.removed_in == number).tolist() == rows.tolist()
    assert found.removed.sum() == sum(map(len, dropped))
    first = found.rounds[0]
    assert first.precision == DATA.flips[first.removed].mean()
    assert first.noise_before == DATA.flips.mean() > first.noise_after
    assert [e for e in epochs if e[0] == "round 1"] == [("round 1", k, first.kept, 4) for k in (1, 2, 3, 4)]
    assert [e for e in epochs if e[0] == "anew"] == [("anew", k, found.used.sum(), 12) for k in range(1, 13)]


def test_what_is_flagged_is_what_the_algebra_flags(repaired, trained):
    found, head = repaired[0], dense(trained)
    np.testing.assert_allclose(found.evidence.osm, head.osm(DATA), atol=5e-3)
    np.testing.assert_allclose(found.evidence.osd, head.osd(DATA, VALIDATION), atol=5e-3)
    votes = found.evidence.info
    flagged = votes.candidates & (votes.votes >= 2)
    np.testing.assert_array_equal(found.rounds[0].removed, np.flatnonzero(flagged))


def test_accuracies_are_the_models_own(repaired, trained, folder):
    found, last, _ = repaired
    assert list(found.accuracies)[:2] == ["original", "round 1"]
    assert list(found.accuracies)[-1] == "trained anew"
    for name, model in (("original", trained), ("trained anew", last)):
        expected = {"validation": accuracy_of(model, VALIDATION), "test": accuracy_of(model, TEST)}
        assert found.accuracies[name] == expected
    kept = [info.round for info in found.rounds if info.accepted][-1]
    ended = last_of_rounds(trained, folder)
    assert found.accuracies[f"round {kept}"]["validation"] == accuracy_of(ended, VALIDATION)
    assert found.rounds[0].measures == {"test": found.accuracies["round 1"]["test"]}


def test_dropped_examples_are_labelled_by_the_last_model(repaired, trained, folder):
    found = repaired[0]
    probs = softmax(logits_of(last_of_rounds(trained, folder), DATA).astype(np.float64))
    expected = relabel(threshold=0.4)(probs, DATA.labels, found.removed)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.used, expected.kept)
    np.testing.assert_allclose(found.confidence, expected.confidence, rtol=1e-4)
    assert found.changed.any()
    assert not found.changed[~found.removed].any()
    assert found.noise_after < found.noise_before == DATA.flips.mean()
    assert len(found.cleaned) == found.used.sum()


def test_the_model_trained_anew_is_that_of_a_plain_run(repaired, trained):
    found, last, _ = repaired
    labelled = DATA.with_labels(found.labels)
    plain = fit(start("linear", DATA), labelled, ANEW, keep=found.used, scale=trained.scale)
    assert_same(nnx.state(plain.model), nnx.state(last.model))
    assert last.settings["epochs"] == 12
    assert found.settings["trained_anew"] is True
    assert found.final == "trained anew"


def test_the_last_model_is_read_back_by_the_data_and_by_what_they_are_a_part_of(repaired, folder):
    _, last, _ = repaired
    for data in (DATA, WHOLE):
        again = load(folder, data)
        assert_same(nnx.state(again.model), nnx.state(last.model))
        assert_same(again.scale, last.scale)
    assert again.settings["refined"] == "influential-rank"
    with pytest.raises(ValueError, match="trained on other examples or other labels"):
        load(folder, TEST)


def test_evidence_is_of_the_original_model(repaired, trained):
    found = repaired[0]
    shown, head = found.evidence, dense(trained)
    by_hand = -np.log(softmax(head.logits(DATA))[np.arange(len(DATA)), DATA.labels])
    np.testing.assert_allclose(shown.losses, by_hand, rtol=1e-3, atol=1e-5)
    assert VALIDATION.labels.tolist().count(shown.shown_class) == shown.spread.shape[1] == 15
    assert len(set(shown.spread_rows)) == len(shown.spread_rows) == len(shown.spread) <= 120
    assert set(found.rounds[0].removed[:60]) <= set(shown.spread_rows)
    queries = np.flatnonzero(VALIDATION.labels == shown.shown_class)
    expected = head.influences(DATA, VALIDATION)[np.ix_(shown.spread_rows, queries)]
    np.testing.assert_allclose(shown.spread, expected, rtol=5e-2, atol=5e-2)
    assert shown.before.shape == shown.after.shape == (len(DATA), 2)
    assert np.isfinite(shown.before).all()
    assert len(set(shown.embedded_rows)) == len(DATA)


def test_a_finished_repair_is_read_back_without_training(repaired, trained, folder, monkeypatch):
    monkeypatch.setattr(rounds_of, "train_on", lambda *_, **__: pytest.fail("it trained"))
    again, last = refine(
        DATA, VALIDATION, trained, checkpoints=folder / "checkpoints", whole=WHOLE, resume=True, **OPTIONS
    )
    assert_repaired_alike(again, repaired[0])
    assert_same(nnx.state(last.model), nnx.state(repaired[1].model))


def assert_repaired_alike(a, b):
    for field in ("labels", "used", "removed_in", "confidence", "scores"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    assert a.accuracies == b.accuracies
    assert a.settings == b.settings
    for x, y in zip(a.rounds, b.rounds, strict=True):
        assert_same(x.removed, y.removed)
        assert x._replace(removed=None, seconds=None) == y._replace(removed=None, seconds=None)
    if a.evidence is not None:
        info = zip(a.evidence.info.mixtures, b.evidence.info.mixtures, strict=True)
        assert_same(a.evidence._replace(info=None), b.evidence._replace(info=None))
        assert all(np.array_equal(x.means, y.means) for x, y in info)


class Stopped(BaseException):
    """What the user's interrupt would be."""


def stopping(moment):
    def on_epoch(name, report, total):
        if (name, report.epoch) == moment:
            raise Stopped

    return on_epoch


def test_a_repair_killed_before_a_round_has_its_checkpoint_makes_it_again(repaired, trained, tmp_path, monkeypatch):
    options = {**OPTIONS, "checkpoints": tmp_path, "whole": WHOLE, "evidence": False}
    save, saved = Checkpoints.save, []

    def killed(self, number, state):
        if isinstance(state, dict) and "scale" not in state:  # of a round, not of its training or of the end
            saved.append(number)
            if number == 1:
                raise Stopped
        save(self, number, state)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", killed)
        with pytest.raises(Stopped):
            refine(DATA, VALIDATION, trained, **options)
    assert saved == [1]
    assert (tmp_path / "rounds" / "round-1.json").exists()
    done = []
    again, _ = refine(DATA, VALIDATION, trained, **options, resume=True, on_round=lambda info: done.append(info.round))
    assert done == [1, 2]
    assert_repaired_alike(again, repaired[0])


@pytest.mark.parametrize("moment", [("round 2", 3), ("anew", 2)], ids=str)
def test_a_repair_that_is_stopped_ends_as_if_it_had_not_been(repaired, trained, tmp_path, moment):
    options, epochs = {**OPTIONS, "checkpoints": tmp_path, "whole": WHOLE, "evidence": False}, []
    with pytest.raises(Stopped):
        refine(DATA, VALIDATION, trained, **options, on_epoch=stopping(moment))
    again, last = refine(
        DATA,
        VALIDATION,
        trained,
        **options,
        resume=True,
        on_epoch=lambda name, report, total: epochs.append((name, report.epoch)),
    )
    name, epoch = moment
    assert epochs[0] in [(name, epoch), (name, epoch + 1)]  # it did not begin anew
    assert_repaired_alike(again, repaired[0])
    assert_same(nnx.state(last.model), nnx.state(repaired[1].model))


def test_checkpoints_of_another_run_are_refused(repaired, trained, folder):
    where = {"checkpoints": folder / "checkpoints", "whole": WHOLE}
    with pytest.raises(ValueError, match="holds the checkpoints of a run: choose another folder"):
        refine(DATA, VALIDATION, trained, **where, **OPTIONS)
    with pytest.raises(ValueError, match=r"holds another run: gamma is 0\.6 there and 0\.9 here"):
        refine(DATA, VALIDATION, trained, **where, **{**OPTIONS, "gamma": 0.9}, resume=True)


def test_a_round_that_diverges_leaves_the_model_before_it(repaired, trained, monkeypatch):
    train_on, rounds = rounds_of.train_on, []

    def diverging(subject, weights, data, config, number, **options):
        rounds.append(number)
        if number == 2:
            raise FloatingPointError("training diverged in epoch 1")
        return train_on(subject, weights, data, config, number, **options)

    monkeypatch.setattr(rounds_of, "train_on", diverging)
    found, _ = refine(DATA, VALIDATION, trained, **OPTIONS, evidence=False)
    assert rounds == [1, 2]
    assert found.rounds[1].reason == "Restored: training diverged in epoch 1."
    assert np.isnan(found.rounds[1].accuracy_after)
    assert set(found.removed_in) == {0, 1}
    assert list(found.accuracies) == ["original", "round 1", "trained anew"]
    np.testing.assert_array_equal(found.scores, repaired[0].scores)  # of round 2 all the same


def test_a_class_of_which_nothing_is_sure_leaves_the_post_trained_model(trained, tmp_path):
    options = {**OPTIONS, "relabel_above": 0.999999, "evidence": False, "checkpoints": tmp_path / "checkpoints"}
    found, last = refine(DATA, VALIDATION, trained, **options)
    assert found.settings["trained_anew"].startswith("Not trained anew: the last model is sure, above 0.999999, of no")
    assert "trained anew" not in found.accuracies
    assert found.used.sum() == found.rounds[-1].kept
    name = [f"round {info.round}" for info in found.rounds if info.accepted][-1]
    assert found.accuracies[name]["test"] == accuracy_of(last, TEST)
    assert_same(nnx.state(load(tmp_path, DATA).model), nnx.state(last.model))


def test_a_model_trained_anew_that_is_worse_is_not_kept(trained):
    barely = dataclasses.replace(ANEW, learning_rate=1e-9)
    found, last = refine(DATA, VALIDATION, trained, **{**OPTIONS, "anew": barely}, evidence=False)
    kept = [info.round for info in found.rounds if info.accepted]
    assert found.final == f"round {kept[-1]}"
    assert found.accuracies["trained anew"]["validation"] < found.accuracies[found.final]["validation"]
    assert found.accuracies[found.final]["test"] == accuracy_of(last, TEST)
    assert found.settings["trained_anew"].startswith("The model trained anew is not kept: it has ")
    np.testing.assert_array_equal(found.used, found.removed_in == 0)


def test_longer_training_is_the_rounds_with_nothing_removed(trained):
    done = longer(DATA, VALIDATION, trained, rounds=2, config=POST, test=TEST)
    subject, weights = apart(trained)
    for number in (1, 2):
        weights = rounds_of.train_on(subject, weights, DATA, POST, number, keep=np.ones(len(DATA), bool))
    assert isinstance(weights, Weights)
    assert_same(apart(done.trained)[1], weights)
    assert list(done.accuracies) == ["original", "longer 1", "longer 2"]
    own = {"validation": accuracy_of(done.trained, VALIDATION), "test": accuracy_of(done.trained, TEST)}
    assert done.accuracies["longer 2"] == own
