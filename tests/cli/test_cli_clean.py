"""``jaxnoisy detect --clean``: examples whose labels are right, and the method that asks for some."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FEATURES, GIVEN, LABELS, C, N, contents, done, refused, run, same_arrays, write_files
from scipy.special import softmax

import jaxnoisy.audit
from jaxnoisy import data
from jaxnoisy.audit import BEYOND, METHODS, InfluentialRank, allowed, audit
from jaxnoisy.audit import run as audit_run
from jaxnoisy.audit.methods import known_methods
from jaxnoisy.detect import influential_rank
from jaxnoisy.files import read_json
from jaxnoisy.influence import OverfittingScores
from jaxnoisy.report import FILES, read_detections, read_issues
from jaxnoisy.training import trained
from jaxnoisy.training.checkpoint import Checkpoints
from jaxnoisy.training.recipes import recipe

DETECT = "detect --data npz:ok.npz --model linear --epochs 3 --devices 1 --out out"
RANKED = f"{DETECT} --method influential-rank --clean"
CLEAN = np.random.default_rng(7).normal(size=(12, 5)).astype(np.float32) + (np.arange(12) % C)[:, None]


@pytest.fixture
def clean(here):
    """A data set of clean examples, four of each class, in the current folder."""
    np.savez("clean.npz", inputs=CLEAN, labels=np.arange(12) % C)
    return here


def by_definition(out, x, given, clean, clean_labels, *, damping):
    """OSM and OSD of the model in ``out``, in float64 from the full Hessian and every gradient."""
    model = trained.load(out, data.make(x, given)).model
    mean, deviation = (np.asarray(x, np.float64).mean(axis=0), np.asarray(x, np.float64).std(axis=0))
    kernel, bias = (np.asarray(a[...], np.float64) for a in (model.head.kernel, model.head.bias))

    def gradients(x, labels):
        wide = np.hstack([(x - mean) / deviation, np.ones((len(x), 1))])
        p = softmax(wide @ np.vstack([kernel, bias]), axis=1)
        blocks = np.einsum("nc,ce->nce", p, np.eye(C)) - np.einsum("nc,ne->nce", p, p)
        hessian = np.einsum("nd,nf,nce->dcfe", wide, wide, blocks).reshape(wide.shape[1] * C, -1) / len(x)
        return np.einsum("nd,nc->ndc", wide, p - np.eye(C)[labels]).reshape(len(x), -1), hessian

    own, hessian = gradients(x, given)
    solved = np.linalg.solve(hessian + damping * np.eye(len(hessian)), own.T).T
    products = solved @ gradients(clean, clean_labels)[0].T
    osd = np.stack([products[:, clean_labels == k].std(axis=1) for k in range(C)], axis=1)
    norms = np.linalg.norm(solved, axis=1)
    return OverfittingScores(
        (norms - norms.mean()) / norms.std(), (osd - osd.mean(0)) / osd.std(0), np.bincount(clean_labels)
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, made once."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_files()
        np.savez("clean.npz", inputs=CLEAN, labels=np.arange(12) % C)
        done(f"{RANKED} npz:clean.npz --gamma 2 --damping 0.05")
    return folder / "out"


@pytest.mark.parametrize("options", ["", "--dtype bfloat16 --devices 2 --batch-size 16"])
def test_the_scores_are_those_of_the_model_that_was_kept(clean, finished, options):
    if options:
        done(f"{RANKED} npz:clean.npz --gamma 2 --damping 0.05 {options}")
    else:
        shutil.copytree(finished, "out")
    scores = by_definition("out", FEATURES, GIVEN, CLEAN, np.arange(12) % C, damping=0.05)
    expected = influential_rank(gamma=2)(scores)
    _, found = read_detections("out/detections.npz")
    np.testing.assert_array_equal(found["influential-rank"].flagged, expected.flagged)
    np.testing.assert_allclose(found["influential-rank"].scores, expected.scores, atol=1e-4)
    assert 0 < expected.flagged.sum() < N
    table, summary = read_issues("out/issues.csv"), read_json("out/summary.json")
    np.testing.assert_array_equal(table.score, found["influential-rank"].scores[table.id.astype(int)])
    assert summary["primary"] == "influential-rank"
    told = summary["settings"]["influential-rank"]
    assert "12 of 12 right-hand sides converged" in told.pop("solution")
    assert told == {
        "gamma": 2,
        "damping": 0.05,
        "solver": "exact",
        "clean_examples": "clean",
        "clean_per_class": [4, 4, 4],
        "clean_notes": [],
        "candidates": int((scores.osm >= 0).sum()),
        "required": 2,
    }


def test_examples_set_aside_are_not_trained_on_and_stand_in_no_result(here):
    printed = done(f"{RANKED} take:4 --seed 3 --method aum,influential-rank")
    train, _, rows = data.load_clean("take:4", data.load("npz:ok.npz"), seed=3)
    assert {p.name for p in Path("out").iterdir()} == {*FILES, "checkpoints"}
    assert sorted(read_issues("out/issues.csv").id) == sorted(set(map(str, range(N))) - set(rows.astype(str)))
    summary = read_json("out/summary.json")
    assert summary["data"]["fingerprint"] == train.fingerprint()
    assert summary["settings"]["influential-rank"]["gamma"] == 0.8
    assert summary["settings"]["influential-rank"]["required"] == C
    assert 0 <= summary["metrics"]["influential-rank"]["roc_auc"] <= 1
    assert f"of {N - 4 * C} labels flagged by aum" in printed
    page = Path("out/report.html").read_text()
    assert "influential-rank.clean_per_class" in page
    assert "4, 4, 4" in page


def test_from_python_and_by_default_beside_the_methods_of_the_trace(clean):
    """Clean examples find their classes by name; what needs none is as without them."""
    examples = data.load("npz:ok.npz")
    config = recipe("linear", examples, epochs=3)
    asked = data.make(CLEAN, (np.arange(12) + 1) % C, class_names=["2", "0", "1"])
    found = audit(examples, clean=asked, model="linear", config=config)
    assert tuple(found.detections) == allowed(3, clean=True, more_runs=False)
    same = audit(
        examples,
        clean=data.make(CLEAN, np.arange(12) % C),
        methods=["influential-rank"],
        model="linear",
        config=config,
    )
    np.testing.assert_array_equal(
        found.detections["influential-rank"].scores, same.detections["influential-rank"].scores
    )
    without = audit(examples, methods=["aum"], model="linear", config=config)
    np.testing.assert_array_equal(found.detections["aum"].scores, without.detections["aum"].scores)


BY_DEFAULT = tuple(
    name for name in METHODS if name not in BEYOND or (BEYOND[name].by_default and not BEYOND[name].runs)
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", BY_DEFAULT),
        ("--method all", METHODS),
        ("--method influential-rank,aum", ("influential-rank", "aum")),
        ("--epochs 1", tuple(name for name in BY_DEFAULT if name not in ("forgetting", "variability", "lstm"))),
    ],
)
def test_which_methods_run_with_clean_examples(clean, monkeypatch, options, expected):
    def begins(_examples, *, methods, **_options):
        raise ValueError(" ".join(known_methods(methods)))

    monkeypatch.setattr(jaxnoisy.audit, "audit", begins)
    assert refused(f"{DETECT} --clean npz:clean.npz {options}") == f"jaxnoisy: error: {' '.join(expected)}\n"


def test_a_run_is_resumed_with_the_same_clean_examples_only(clean, finished, monkeypatch):
    """And asked again with another gamma, without training."""
    shutil.copytree(finished, "out")
    np.savez("other.npz", inputs=CLEAN, labels=(np.arange(12) + 1) % C)
    for options in ("--clean npz:other.npz", "--clean take:4", "--method aum"):
        line = refused(f"{DETECT} {options} --resume")
        assert "holds another run" in line
        assert "clean is" in line
        assert contents("out") == contents(finished)
    monkeypatch.setattr(Checkpoints, "save", lambda *_a, **_k: pytest.fail("it trained"))
    done(f"{RANKED} npz:clean.npz --gamma 2 --damping 0.05 --resume")
    same_arrays("out/detections.npz", finished / "detections.npz")
    done(f"{RANKED} npz:clean.npz --gamma 1 --resume")
    assert read_json("out/summary.json")["settings"]["influential-rank"]["required"] == 1


def test_examples_that_are_trained_on_and_classes_without_any_are_told_of(here):
    np.savez("some.npz", inputs=np.vstack([FEATURES[6:8], CLEAN[:1]]), labels=[0, 1, 0])
    result = run(f"{RANKED} npz:some.npz --gamma 0.5")
    assert result.code == 0
    both = "2 of 3 clean examples stand in the training data too"
    assert result.err == f"jaxnoisy: warning: no clean example is of the class 2\njaxnoisy: warning: {both}\n"
    assert both in Path("out/report.html").read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--method influential-rank", ["influential-rank needs examples", "--clean take:K"]),
        ("--method aum,influential-rank", ["influential-rank needs examples", "--clean SPEC"]),
        ("--method aum --gamma 8", ["--gamma", "influential-rank", "leave it out"]),
        ("--damping 0.1", ["--damping", "influential-rank", "leave it out"]),
        ("--clean take:0", ["'take:0'", "K >= 1"]),
        ("--clean take:20", ["'take:20'", "has 20", "take fewer"]),
        ("--clean take:2 --labels npy:given.npy --data npz:plain.npz", ["clean labels are known"]),
        ("--clean frob:x", ["'frob:x'", "take:5"]),
        ("--clean npz:wide.npz", ["(6,)", "(5,)"]),
        ("--clean npz:beyond.npz", ["is 3", "3 classes"]),
        ("--clean npz:nowhere.npz", ["'nowhere.npz'", "does not exist"]),
        ("--clean npz:clean.npz --gamma 4", ["votes of 4 classes", "only 3"]),
        ("--clean take:1 --gamma 1", ["votes of 1 classes", "only 0"]),
        ("--clean take:2 --gamma 1.5", ["--gamma", "'1.5'", "0.8"]),
        ("--clean take:2 --gamma -1", ["--gamma", "'-1'"]),
        ("--clean take:2 --gamma nan", ["--gamma", "'nan'"]),
        ("--clean take:2 --gamma 0.0", ["--gamma", "'0.0'"]),
        ("--clean take:2 --solver lissa", ["solver", "'lissa'", "exact, ekfac, cg"]),
        ("--clean take:2 --damping 0", ["--damping", "'0'", "positive"]),
    ],
)
def test_what_makes_no_sense_is_one_line_before_training(clean, monkeypatch, options, says):
    monkeypatch.setattr(audit_run, "fit", lambda *_a, **_k: pytest.fail("it trained"))
    np.savez("wide.npz", inputs=np.ones((2, 6)), labels=[0, 1])
    np.savez("beyond.npz", inputs=FEATURES[:2], labels=[3, 0])
    np.savez("plain.npz", inputs=FEATURES, labels=LABELS)
    line = refused(f"{DETECT} {options}")
    assert all(text in line for text in says), line


@pytest.mark.parametrize(
    ("options", "says"), [({"gamma": 0.0}, "gamma must be"), ({"damping": np.inf}, "damping must")]
)
def test_what_makes_no_sense_from_python(clean, monkeypatch, options, says):
    monkeypatch.setattr(audit_run, "fit", lambda *_a, **_k: pytest.fail("it trained"))
    asked = data.make(CLEAN, np.arange(12) % C)
    with pytest.raises(ValueError, match=says):
        audit(data.load("npz:ok.npz"), clean=asked, methods=[InfluentialRank(**options)], model="linear")
