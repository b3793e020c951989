from pathlib import Path

import numpy as np
import pytest
from cli_runs import arrays, done
from sklearn.datasets import load_digits

from jaxnoisy import dynamics
from jaxnoisy.audit import allowed
from jaxnoisy.files import read_json
from jaxnoisy.report import FILES


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What one demo without arguments printed, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "80")
        return done("demo"), folder


@pytest.mark.slow
def test_every_detector_stands_in_one_table_with_every_measure(demo):
    printed, _ = demo
    lines = [line.strip() for line in printed.splitlines()]
    for title in ("ROC", "AUC", "average", "precision", "at 95 %", "recall", "F1", "FDR"):
        assert title in printed
    for name in allowed():
        (row,) = (line for line in lines if line.split(" ")[0].rstrip("*") == name)
        cells = row.removeprefix(name).replace("*", "").split()
        assert len(cells) == 7
        assert all(0 <= float(cell) <= 1 for cell in cells[:6])


@pytest.mark.slow
def test_the_report_says_what_was_printed(demo):
    printed, folder = demo
    out = folder / "jaxnoisy-demo"
    assert {p.name for p in out.iterdir()} == set(FILES)
    assert "jaxnoisy-demo/report.html" in printed
    summary = read_json(out / "summary.json")
    assert set(summary["methods"]) == set(allowed())
    measures = {"roc_auc", "average_precision", "precision_at_95_recall", "f1", "fdr", "recall"}
    assert all(measures <= set(row) for row in summary["metrics"].values())
    assert summary["metrics"]["aum"]["roc_auc"] > 0.9


@pytest.mark.slow
def test_exactly_a_tenth_of_the_labels_is_flipped(demo):
    _, folder = demo
    given = dynamics.load(folder / "jaxnoisy-demo" / "trace.npz").labels
    truth = load_digits().target
    assert (given != truth).sum() == round(0.1 * len(truth))
    assert read_json(folder / "jaxnoisy-demo" / "summary.json")["known_noise_rate"] == (given != truth).mean()


def test_rate_seed_and_folder_can_be_chosen(tmp_path, monkeypatch):
    import jaxnoisy.audit
    from jaxnoisy.training import TrainConfig

    real = jaxnoisy.audit.audit
    config = TrainConfig(epochs=2, batch_size=64)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jaxnoisy.audit, "allowed", lambda: ("aum",))
    monkeypatch.setattr(
        jaxnoisy.audit, "audit", lambda data, *, model, **rest: real(data, model="linear", config=config, **rest)
    )
    truth = load_digits().target
    folders = ("jaxnoisy-demo", "jaxnoisy-demo-2", "chosen")
    for out, options in zip(folders, ("--seed 1", "--seed 1", "--seed 2 --out chosen")):
        done(f"demo --rate 0.25 {options}")
        assert (dynamics.load(f"{out}/trace.npz").labels != truth).sum() == round(0.25 * len(truth))
    a, b, c = (arrays(f"{out}/trace.npz") for out in folders)
    np.testing.assert_array_equal(a["log_p_given"], b["log_p_given"])
    assert (a["labels"] != c["labels"]).any()
    assert {p.name for p in Path().iterdir()} == set(folders)
