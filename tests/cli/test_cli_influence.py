"""``jaxnoisy influence``: what is promised stands in its folder, and is what the library computes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FEATURES, GIVEN, LABELS, C, N, contents, done, refused
from scipy.special import softmax

from jaxnoisy import data
from jaxnoisy.report import INFLUENCE_FILES
from jaxnoisy.training import trained

DETECT = "detect --data npz:ok.npz --model linear --method aum --epochs 3 --devices 1 --seed 4"
INFLUENCE = "influence --data npz:ok.npz --out out"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """The folder of a finished ``detect``, made once."""
    from cli_runs import write_files

    folder = tmp_path_factory.mktemp("detected")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_files()
        done(f"{DETECT} --out earlier")
    return folder / "earlier"


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def by_definition(model, rows, damping):
    """Influences (n, k) on the given rows and self-influences (n,) of a linear model, in float64."""
    x = FEATURES.astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    kernel, bias = (np.asarray(a[...], np.float64) for a in (model.head.kernel, model.head.bias))
    p = softmax(x @ kernel + bias, axis=1)
    wide = np.hstack([x, np.ones((N, 1))])
    gradients = np.einsum("nd,nc->ndc", wide, p - np.eye(C)[GIVEN]).reshape(N, -1)
    blocks = np.einsum("nc,ce->nce", p, np.eye(C)) - np.einsum("nc,ne->nce", p, p)
    hessian = np.einsum("nd,nf,nce->dcfe", wide, wide, blocks).reshape(len(gradients[0]), -1) / N
    solved = np.linalg.solve(hessian + damping * np.eye(len(hessian)), gradients.T).T
    return -gradients @ solved[rows].T, np.sum(gradients * solved, axis=1)


def test_the_folder_of_an_earlier_detect_is_used_and_its_influences_are_exact(here, run_folder, monkeypatch):
    monkeypatch.setattr(trained, "fit", lambda *_a, **_k: pytest.fail("it trained"))
    before = contents(run_folder)
    printed = done(f"{INFLUENCE} --model {run_folder} --queries ids:7,2 --top 4 --damping 0.05 --full")
    assert contents(run_folder) == before
    assert "report: out/report.html" in printed
    assert {p.name for p in Path("out").iterdir()} == set(INFLUENCE_FILES)
    model = trained.load(run_folder, data.load("npz:ok.npz")).model
    expected, self_influence = by_definition(model, [7, 2], 0.05)
    found = np.load("out/influence.npy")
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
    lines = table("out/influence.csv")
    assert len(lines) == 2 * 2 * 4
    for q, name in enumerate(("7", "2")):
        for kind, order in (("helpful", np.argsort(expected[:, q])), ("harmful", np.argsort(-expected[:, q]))):
            part = [line for line in lines if (line["query_id"], line["kind"]) == (name, kind)]
            assert [line["train_id"] for line in part] == order[:4].astype(str).tolist()
            assert [line["rank"] for line in part] == ["1", "2", "3", "4"]
            assert [line["train_label"] for line in part] == GIVEN[order[:4]].astype(str).tolist()
            np.testing.assert_allclose(
                [float(line["influence"]) for line in part], expected[order[:4], q], rtol=2e-4, atol=2e-5
            )
    ranked = table("out/self_influence.csv")
    assert [line["train_id"] for line in ranked] == np.argsort(-self_influence, kind="stable").astype(str).tolist()
    np.testing.assert_allclose([float(a["self_influence"]) for a in ranked], np.sort(self_influence)[::-1], rtol=2e-4)
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["settings"]["checkpoint"] == str(run_folder)
    assert summary["settings"]["damping"] == 0.05
    assert summary["solution"]["converged"] == 2
    assert "2 of 2 right-hand sides converged" in summary["solution"]["said"]


def test_the_model_read_back_is_the_model_that_was_trained(run_folder, monkeypatch):
    monkeypatch.chdir(run_folder.parent)
    examples = data.load("npz:ok.npz")
    read = trained.load(run_folder, examples)
    made = trained.train(
        examples,
        model="linear",
        seed=4,
        config=trained.recipe("linear", examples, epochs=3, seed=4, record="none"),
    )
    np.testing.assert_array_equal(read.model.head.kernel[...], made.model.head.kernel[...])
    np.testing.assert_array_equal(read.scale.mean, made.scale.mean)


def test_a_model_is_trained_where_a_name_is_given_and_queries_are_other_examples(here):
    """A single query of one class, by its class's number; no matrix unless asked for."""
    np.savez("asked.npz", inputs=FEATURES[11:12], labels=LABELS[11:12], ids=np.array(["who"]))
    done(f"{INFLUENCE} --model linear --epochs 2 --queries npz:asked.npz --top 2")
    assert {p.name for p in Path("out").iterdir()} == {*INFLUENCE_FILES} - {"influence.npy"}
    assert {line["query_id"] for line in table("out/influence.csv")} == {"who"}
    (query,) = table("out/queries.csv")
    assert query["query_label"] == str(LABELS[11])
    assert json.loads(Path("out/summary.json").read_text())["settings"]["epochs"] == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--queries ids:7,nobody", ["'nobody'", "id"]),
        ("--queries ids:", ["ids:7,12,31"]),
        ("--queries ids:7,7", ["'7'", "twice"]),
        ("--queries take:0", ["take:0", "K >= 1"]),
        ("--queries take:few", ["take:few", "whole number"]),
        ("--queries take:61", ["61 examples", "has 60"]),
        ("--queries frob:x", ["'frob:x'", "ids:7,12,31", "folder:photos"]),
        ("--queries npz:wide.npz", ["(6,)", "(5,)"]),
        ("--queries npz:beyond.npz", ["is 3", "3 classes"]),
        ("--queries csv:named.csv", ["'walrus'", "'0', '1', '2'"]),
        ("--queries npz:bytes.npz", ["uint8", "float32"]),
        ("--queries npz:nowhere.npz", ["'nowhere.npz'", "does not exist"]),
        ("--queries take:2 --damping 0", ["--damping", "'0'", "positive"]),
        ("--queries take:2 --damping nan", ["--damping", "'nan'", "positive"]),
        ("--queries take:2 --top 61", ["--top is 61", "60"]),
        ("--queries take:2 --top 0", ["--top", "'0'", ">= 1"]),
        ("--queries take:2 --method lissa", ["--method", "last-layer", "'lissa'"]),
        ("--queries take:2 --model nothing", ["'nothing'", "folder", "linear"]),
        ("--queries take:2 --model empty", ["'empty'", "no checkpoints"]),
        ("--queries take:2 --model cnn", ["'cnn'", "(5,)"]),
        ("--queries take:2 --model {run} --epochs 2", ["--epochs", "leave it out"]),
        ("--queries take:2 --model {run} --labels npy:y.npy", ["other labels", "fingerprint"]),
        ("--queries take:2 --model {run} --out y.npy", ["'y.npy'", "not a folder"]),
        ("--queries take:2 --out taken", ["already holds a run", "influence.csv"]),
        ("--data npz:one.npz --queries take:1", ["one.npz", "one class only"]),
    ],
)
def test_what_makes_no_sense_is_one_line_before_any_work(here, run_folder, monkeypatch, options, says):
    monkeypatch.setattr(trained, "fit", lambda *_a, **_k: pytest.fail("it trained"))
    np.savez("wide.npz", inputs=np.ones((2, 6)), labels=[0, 1])
    np.savez("beyond.npz", inputs=FEATURES[:2], labels=[3, 0])
    np.savez("bytes.npz", inputs=np.ones((2, 5), np.uint8), labels=[1, 0])
    np.savez("one.npz", inputs=FEATURES, labels=LABELS * 0)
    Path("named.csv").write_text("a,b,c,d,e,label\n1,2,3,4,5,walrus\n")
    Path("empty").mkdir()
    Path("taken").mkdir()
    Path("taken", "influence.csv").write_text("of another run")
    line = refused(f"{INFLUENCE} --model linear {options.format(run=run_folder)}")
    assert all(text in line for text in says), line


def test_an_unfinished_run_is_not_explained(here, run_folder):
    import shutil

    shutil.copytree(run_folder, "cut")
    described = json.loads(Path("cut/checkpoints/main/run.json").read_text())
    Path("cut/checkpoints/main/run.json").write_text(json.dumps({**described, "epochs": 9}))
    line = refused(f"{INFLUENCE} --model cut --queries take:1")
    assert "unfinished run, 3 of 9 epochs" in line
    assert "--resume" in line


def test_a_checkpoint_that_is_damaged(here, run_folder):
    import shutil

    shutil.copytree(run_folder, "cut")
    shutil.rmtree("cut/checkpoints/main/3/default/d")
    assert "cannot be read" in refused(f"{INFLUENCE} --model cut --queries take:1")
    Path("cut/checkpoints/main/run.json").write_text("[]")
    assert "does not describe a run" in refused(f"{INFLUENCE} --model cut --queries take:1")
