"""``jaxnoisy repair``: what is promised stands in its folder, and is what the library comes to."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_runs import contents, done, refused, run, same_arrays
from sklearn.datasets import load_digits

from jaxnoisy import data, refine
from jaxnoisy.arguments import parser
from jaxnoisy.data.clean import load_clean
from jaxnoisy.files import read_json
from jaxnoisy.refine import evidence
from jaxnoisy.report import FILES, REPAIR_FILES
from jaxnoisy.training import trained
from jaxnoisy.training.checkpoint import Checkpoints
from jaxnoisy.training.recipes import recipe

N, C = 160, 10
CLEAN = "--data npz:digits.npz --clean take:4 --gamma 5 --devices 1"
REPAIR = f"repair {CLEAN} --model linear --epochs 6 --post-epochs 2 --keep-above 0.3 --out out"


@pytest.fixture(scope="module", autouse=True)
def drawn_at_once():
    """Two features in the place of their embedding, whose making would be most of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "embed", lambda features, *, seed: np.asarray(features[:, :2]))
        yield


def digits():
    """Digits with a fifth of the labels wrong, and test examples; by 16 of their pixels, so that all is small."""
    x, y = load_digits(return_X_y=True)
    x, rng = x.reshape(-1, 8, 8)[:, ::2, 1::2].reshape(-1, 16).astype(np.float32), np.random.default_rng(0)
    given = np.where(rng.random(N) < 0.2, (y[:N] + rng.integers(1, C, N)) % C, y[:N])
    np.savez("digits.npz", inputs=x[:N], labels=given, clean_labels=y[:N])
    np.savez("test.npz", inputs=x[N : N + 200], labels=y[N : N + 200])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A temporary current folder with them in it."""
    monkeypatch.chdir(tmp_path)
    digits()
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory, drawn_at_once):
    """The folder of an uninterrupted repair, and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        digits()
        return folder / "out", done(f"{REPAIR} --test npz:test.npz")


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_folder_holds_what_is_promised(whole):
    out, printed = whole
    assert {p.name for p in out.iterdir()} == {*REPAIR_FILES, "checkpoints"}
    summary, lines = read_json(out / "summary.json"), printed.splitlines()
    rounds = table(out / "rounds.csv")
    assert len(rounds) == len(lines) - 1 >= 1
    for number, (row, line) in enumerate(zip(rounds, lines), 1):
        assert line.startswith(f"round {number}: {row['removed']} of {N - 4 * C} labels flagged")
        assert row["reason"].rstrip(".") in line
        assert f"test accuracy {float(row['test']):.4f}" in line
    labels = table(out / "labels.csv")
    changed = sum(row["changed"] == row["used"] == "true" for row in labels)
    left_out = sum(row["used"] == "false" for row in labels)
    first, last = (summary["accuracies"][name]["test"] for name in ("original", summary["final"]))
    assert lines[-1] == (
        f"{changed} of {len(labels)} labels changed, {left_out} examples left out; test accuracy from {first:.4f} to "
        f"{last:.4f}; report: out/report.html"
    )
    settings = summary["settings"]
    assert settings["clean_per_class"] == [4] * C
    assert settings["gamma"] == 5
    assert settings["relabel_above"] == 0.3
    assert settings["post_training"]["epochs"] == 2
    assert settings["training_anew"]["epochs"] == 6
    assert "clean_per_class" in (out / "report.html").read_text()


def test_it_is_the_refinement_of_the_library(whole, monkeypatch):
    monkeypatch.chdir(whole[0].parent)
    everything = data.load("npz:digits.npz")
    examples, clean, _ = load_clean("take:4", everything)
    config = recipe("linear", examples, epochs=6, record="none")
    repaired, last = refine.refine(
        examples,
        clean,
        trained.train(examples, model="linear", config=config),
        gamma=5,
        relabel_above=0.3,
        config=refine.post_recipe("linear", examples, epochs=2),
        anew=config,
        test=data.load("npz:test.npz"),
        evidence=False,
    )
    rows = table("out/labels.csv")
    place = {name: row for row, name in enumerate(examples.ids.tolist())}
    order = [place[row["id"]] for row in rows]
    np.testing.assert_array_equal([int(row["cleaned_label"]) for row in rows], repaired.labels[order])
    np.testing.assert_array_equal([row["used"] == "true" for row in rows], repaired.used[order])
    assert read_json("out/summary.json")["accuracies"] == repaired.accuracies
    for of in (examples, everything):
        kept = trained.load("out", of).model
        np.testing.assert_array_equal(kept.head.kernel[...], last.model.head.kernel[...])


def test_a_repair_begins_with_the_model_of_a_detection(here, monkeypatch):
    """Whose data left the same clean examples out. The repaired model is found by all of the data too."""
    monkeypatch.setattr(trained, "fit", lambda *_a, **_k: pytest.fail("it trained a model to begin with"))
    done(f"detect {CLEAN} --model linear --epochs 6 --method influential-rank --out found")
    assert read_json("found/summary.json")["metrics"]["influential-rank"]["roc_auc"] > 0.8
    done(f"repair {CLEAN} --model found --rounds 1 --post-epochs 2 --keep-above 0.3 --out repaired")
    settings = read_json("repaired/summary.json")["settings"]
    assert settings["checkpoint"] == "found"
    assert settings["training_anew"]["epochs"] == 6
    assert trained.load("repaired", data.load("npz:digits.npz")).settings["refined"] == "influential-rank"


def interrupted(line, run_name, count):
    """Run the command until the so manyth save of a run, right after which it is ended."""
    left, save = iter(range(1, count)), Checkpoints.save

    def saves(self, epoch, state):
        save(self, epoch, state)
        if self._path.name == run_name and next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", saves)
        result = run(line)
    assert result.code == 130
    assert result.err == "jaxnoisy: error: interrupted; what was finished is kept: go on with --out out --resume\n"
    assert {p.name for p in Path("out").iterdir()} == {"checkpoints"}


def test_interrupted_again_and_again_and_resumed_it_is_the_same_repair(here, whole):
    """While the first model is trained, in a round, after it, while a model is trained anew, and when that is kept."""
    line = f"{REPAIR} --test npz:test.npz"
    interrupted(line, "original", 3)
    assert "resume it" in refused(line)
    for run_name, count in (("round-1", 1), ("rounds", 1), ("anew", 2), ("main", 1)):
        interrupted(f"{line} --resume", run_name, count)
    assert done(f"{line} --resume") == whole[1]
    same_arrays("out/scores.npz", whole[0] / "scores.npz")
    assert Path("out/labels.csv").read_bytes() == (whole[0] / "labels.csv").read_bytes()


def test_another_repair_is_not_resumed(here, whole, monkeypatch):
    monkeypatch.setattr(Checkpoints, "save", lambda *_a, **_k: pytest.fail("it trained"))
    shutil.copytree(whole[0], "out")
    line = f"{REPAIR} --test npz:test.npz"
    assert "already holds a run" in refused(line)
    for options, says in (("--gamma 2", "gamma"), ("--epochs 7", "epochs"), ("--seed 3", "seed")):
        told = refused(f"{line} {options} --resume")
        assert "another" in told
        assert says in told
    assert contents("out") == contents(whole[0])


def test_the_results_of_another_command_are_never_replaced(here):
    done("detect --data npz:digits.npz --method aum --model linear --epochs 1 --devices 1 --out out")
    for options in ("", "--resume", "--resume --model out"):
        line = refused(f"{REPAIR} {options}")
        assert "already holds a run" in line
    for name in FILES:
        Path("out", name).unlink()
    assert "holds a run of jaxnoisy detect" in refused(f"{REPAIR} --resume")


@pytest.mark.parametrize(
    ("text", "gamma", "kind"), [("8", 8, int), ("0", 0, int), ("0.8", 0.8, float), ("1.0", 1.0, float), ("1", 1, int)]
)
def test_gamma_is_a_count_or_a_share(text, gamma, kind):
    for command in ("detect --data digits --clean take:2", "repair --data digits --clean take:2"):
        found = parser().parse_args([*command.split(), "--gamma", text]).gamma
        assert found == gamma
        assert type(found) is kind


def test_the_options_reach_the_refinement(here, monkeypatch):
    def begins(examples, clean, _model, **options):
        names = ("method", "rounds", "gamma", "damping", "solver", "class_floor", "relabel_above", "seed", "resume")
        config, anew = options["config"], options["anew"]
        raise ValueError(
            f"{len(examples)} {len(clean)} {[options[name] for name in names]} {config.epochs} {config.learning_rate} "
            f"{config.seed} {config.batch_size} {anew.epochs} {anew.learning_rate} {anew.seed} {anew.batch_size} "
            f"{len(options['whole'])} {options['test']}"
        )

    monkeypatch.setattr(refine, "refine", begins)
    line = refused(
        "repair --data npz:digits.npz --clean take:2 --model linear --epochs 1 --devices 1 --method small-loss "
        "--rounds 3 --gamma 0.5 --damping 0.2 --solver cg --class-floor 4 --keep-above 0.6 --post-epochs 7 "
        "--post-learning-rate 0.03 --learning-rate 0.02 --batch-size 32 --seed 9 --out out"
    )
    assert line == (
        f"jaxnoisy: error: {N - 2 * C} {2 * C} ['small-loss', 3, 0.5, 0.2, 'cg', 4, 0.6, 9, False] "
        f"7 0.03 9 32 1 0.02 9 32 {N} None\n"
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--method aum", ["--method", "influential-rank, small-loss", "'aum'"]),
        ("--solver lissa", ["solver", "exact, ekfac, cg", "'lissa'"]),
        ("--clean take:0", ["'take:0'", "K >= 1"]),
        ("--clean take:30", ["'take:30'", "take fewer"]),
        ("--clean npz:test.npz --data npz:plain.npz --labels npy:short.npy", ["short.npy", "50"]),
        ("--data npz:plain.npz", ["clean labels are known"]),
        ("--test take:2", ["--test", "data set of its own"]),
        ("--test npz:wide.npz", ["(6,)", "(16,)"]),
        ("--test npz:nowhere.npz", ["'nowhere.npz'", "does not exist"]),
        ("--model nothing", ["'nothing'", "detect or repair", "linear"]),
        ("--model empty", ["'empty'", "no checkpoints"]),
        ("--model cnn", ["'cnn'", "(16,)"]),
        ("--gamma 11", ["votes of 11 classes", "only 10"]),
        ("--gamma 1.5", ["--gamma", "'1.5'"]),
        ("--damping 0", ["--damping", "'0'", "positive"]),
        ("--keep-above 1", ["--keep-above", "'1'", "not including 1"]),
        ("--rounds 0", ["--rounds", "'0'", ">= 1"]),
        ("--class-floor 0", ["--class-floor", "'0'", ">= 1"]),
        ("--post-epochs 0", ["--post-epochs", "'0'", ">= 1"]),
        ("--post-learning-rate 0", ["--post-learning-rate", "'0'", "positive"]),
        ("--devices 1000", ["1000 devices"]),
        ("--out test.npz", ["'test.npz'", "not a folder"]),
        ("--out taken", ["already holds a run", "labels.csv"]),
    ],
)
def test_what_makes_no_sense_is_one_line_before_training(here, monkeypatch, options, says):
    monkeypatch.setattr(trained, "fit", lambda *_a, **_k: pytest.fail("it trained"))
    with np.load("digits.npz") as pack:
        np.savez("plain.npz", inputs=pack["inputs"], labels=pack["labels"])
        np.save("short.npy", pack["labels"][:50])
    np.savez("wide.npz", inputs=np.ones((2, 6)), labels=[0, 1])
    Path("empty").mkdir()
    Path("taken").mkdir()
    Path("taken", "labels.csv").write_text("of another repair")
    line = refused(f"{REPAIR} {options}")
    assert all(text in line for text in says), line


def test_resume_needs_the_folder_and_clean_examples_are_required(here):
    assert "--resume needs --out" in refused("repair --data npz:digits.npz --clean take:2 --resume")
    assert "--clean" in run("repair --data npz:digits.npz").err


def test_clean_and_test_examples_that_are_trained_on_are_told_of(here, monkeypatch):
    def begins(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(trained, "train", begins)
    with np.load("digits.npz") as pack:
        np.savez("same.npz", inputs=pack["inputs"][:20], labels=pack["clean_labels"][:20])
    result = run(f"{REPAIR} --clean npz:same.npz --test npz:same.npz")
    assert result.err.splitlines() == [
        *(f"jaxnoisy: warning: 20 of 20 {kind} examples stand in the training data too" for kind in ("clean", "test")),
        "jaxnoisy: error: interrupted",
    ]
    assert "out" not in contents()
