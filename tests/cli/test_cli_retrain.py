"""``jaxnoisy repair --method remove|relabel``."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_runs import arrays, done, refused, run
from sklearn.datasets import load_digits

from jaxnoisy import data
from jaxnoisy.detect import aum
from jaxnoisy.dynamics import load as load_trace
from jaxnoisy.files import read_json
from jaxnoisy.report import REPAIR_FILES
from jaxnoisy.training import trained

N, C = 160, 10
REPAIR = "repair --data npz:digits.npz --epochs 6 --devices 1"


def digits():
    """Digits with a fifth of the labels wrong, and test examples; by 16 of their pixels, so that all is small."""
    x, y = load_digits(return_X_y=True)
    x, rng = x.reshape(-1, 8, 8)[:, ::2, 1::2].reshape(-1, 16).astype(np.float32), np.random.default_rng(0)
    given = np.where(rng.random(N) < 0.2, (y[:N] + rng.integers(1, C, N)) % C, y[:N])
    np.savez("digits.npz", inputs=x[:N], labels=given, clean_labels=y[:N])
    np.savez("blind.npz", inputs=x[:N], labels=given)
    np.savez("test.npz", inputs=x[N : N + 200], labels=y[N : N + 200])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        digits()
        done("detect --data npz:digits.npz --model linear --epochs 6 --method aum --devices 1 --out run")
        options = "--model run --rank-by aum --test npz:test.npz"
        printed = [
            done(f"{REPAIR} --method remove --fraction 0.15 {options} --out removed"),
            done(f"{REPAIR} --method relabel --fraction 0.1 {options} --out relabelled"),
        ]
    return folder, printed


@pytest.fixture
def here(made, monkeypatch):
    monkeypatch.chdir(made[0])
    return made[0]


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_folder_holds_what_is_promised(made, here):
    for out, printed, said in zip(("removed", "relabelled"), made[1], ("24 of 160 labels removed", "16 of 160 labels")):
        assert {p.name for p in Path(out).iterdir()} == {*REPAIR_FILES, "checkpoints"} - {"rounds.csv"}
        summary = read_json(f"{out}/summary.json")
        first, last = (summary["accuracies"][name]["test"] for name in ("original", "trained anew"))
        assert printed.startswith(said)
        assert f"as aum ranks them; test accuracy from {first:.4f} to {last:.4f}; report: {out}/report.html" in printed
        assert (summary["settings"]["ranked_by"], summary["final"]) == ("aum", "trained anew")
        page = Path(out, "report.html").read_text()
        assert "Learning from training dynamics" in page
        assert "right on test data" in page


def test_the_most_suspicious_by_the_detector_are_taken(here):
    detection = aum()(load_trace("run/trace.npz"))
    for out, count in (("removed", 24), ("relabelled", 16)):
        kept = arrays(f"{out}/scores.npz")
        np.testing.assert_array_equal(kept["scores"], detection.scores)
        taken = kept["removed_in"] > 0
        assert taken.sum() == count
        flagged = detection.flagged
        assert not (flagged & ~taken).any() or not (taken & ~flagged).any()
    rows = table("removed/labels.csv")
    assert [row["used"] == "false" for row in rows] == [row["removed_in_round"] == "1" for row in rows]
    assert all(row["used"] == "true" for row in table("relabelled/labels.csv"))


def test_the_batch_is_scaled_to_what_is_left(here):
    batch = read_json("run/summary.json")["settings"]["batch_size"]
    removed, relabelled = (read_json(f"{out}/summary.json")["settings"] for out in ("removed", "relabelled"))
    assert removed["training_anew"]["batch_size"] == round(batch * 136 / 160)
    assert relabelled["training_anew"]["batch_size"] == batch
    assert removed["training_anew"]["epochs"] == 6


def test_the_model_it_ends_with_is_read_back(here):
    examples = data.load("npz:digits.npz")
    kept, before = trained.load("removed", examples), trained.load("run", examples)
    assert kept.settings["refined"] == "remove"
    assert not np.array_equal(kept.model.head.kernel[...], before.model.head.kernel[...])
    np.testing.assert_array_equal(kept.scale.mean, before.scale.mean)


def test_a_model_by_name_is_trained_and_ranked_by_lstm(here):
    line = f"{REPAIR} --model linear --method relabel --true-labels --fraction 0.1 --out looked-up"
    printed = done(line)
    assert "as lstm ranks them; report" in printed
    summary = read_json("looked-up/summary.json")
    assert summary["settings"]["ranked_by"] == "lstm"
    assert summary["truth"]["relabelled_right"] == 1.0
    before = Path("looked-up/labels.csv").read_bytes()
    assert "looked-up" in refused(line)
    done(f"{line} --resume")
    assert Path("looked-up/labels.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--method remove --fraction 0.1 --threshold 0.5", "not both"),
        ("--method remove --fraction 2", "from 0 to 1"),
        ("--method remove --fraction 1", "must lie in (0, 1)"),
        ("--method remove --threshold x", "finite number"),
        ("--method remove --gamma 5", "--gamma is for influential-rank and small-loss"),
        ("--method relabel --clean take:4", "--clean is for influential-rank and small-loss"),
        ("--method relabel --post-epochs 4", "--post-epochs is for"),
        ("--method remove --rank-by aums", "--rank-by must be one of"),
        ("--method remove --rank-by aum --detector d.npz", "--detector is for lstm"),
        ("--method remove --true-labels", "true_labels needs"),
        ("--clean take:4 --fraction 0.1", "--fraction is for remove and relabel"),
        ("--clean take:4 --method small-loss --rank-by aum", "--rank-by is for remove and relabel"),
        ("", "--method influential-rank needs --clean"),
        ("--method drop", "--method must be one of influential-rank, small-loss, remove, relabel"),
        ("--method remove --fraction 0.99 --rank-by aum", "no example would be left of the class"),
    ],
)
def test_options_that_do_not_go_together_are_refused(here, options, says):
    assert says in refused(f"{REPAIR} --model run {options} --out new")


def test_what_is_not_there_is_refused(here):
    line = refused("repair --data npz:blind.npz --model run --method relabel --true-labels --out new")
    assert "--true-labels needs data with clean_labels" in line
    shutil.copytree("run", "bare", dirs_exist_ok=True)
    Path("bare/trace.npz").unlink()
    assert "holds no trace.npz" in refused(f"{REPAIR} --model bare --method remove --out new")
    assert run(f"{REPAIR} --model run --method remove --fraction 0.1 --out run").code == 2
