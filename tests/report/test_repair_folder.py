"""The tables, arrays and summary of a repair, and the folder that holds them."""

import csv

import numpy as np
import pytest
from repair_examples import repaired
from report_examples import NASTY

from jaxnoisy import report
from jaxnoisy.files import read_json, read_npz
from jaxnoisy.report import repair_folder
from jaxnoisy.report.cells import text_of
from jaxnoisy.report.repair_tables import write_labels, write_rounds


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_label_reads_back_as_it_was(tmp_path):
    ids = np.array([f"=id,{k}" for k in range(80)])
    found = repaired(c=len(NASTY), names=NASTY, ids=ids)
    write_labels(tmp_path / "labels.csv", found)
    lines = table(tmp_path / "labels.csv")
    data, names = found.dataset, np.array(NASTY)
    assert [text_of(line["id"]) for line in lines] == ids.tolist()
    assert {line["id"][0] for line in lines} == {"'"}, "a spreadsheet would run these"
    for column, labels in (
        ("given_label", data.labels), ("cleaned_label", found.labels), ("true_label", data.clean_labels)
    ):  # fmt: skip
        assert [text_of(line[column]) for line in lines] == names[labels].tolist()
    assert [line["changed"] == "true" for line in lines] == (found.labels != data.labels).tolist()
    assert [line["used"] == "true" for line in lines] == found.used.tolist()
    assert [int(line["removed_in_round"]) for line in lines] == found.removed_in.tolist()
    np.testing.assert_array_equal(np.float32([float(line["confidence"]) for line in lines]), found.confidence)
    assert [float(line["score"]) for line in lines] == found.scores.tolist()


def test_without_the_truth_there_is_no_column_for_it(tmp_path):
    write_labels(tmp_path / "labels.csv", repaired(truth=False))
    assert "true_label" not in table(tmp_path / "labels.csv")[0]


def test_rounds_stand_with_what_was_measured(tmp_path):
    found = repaired(rounds="refused")
    write_rounds(tmp_path / "rounds.csv", found)
    first, second = table(tmp_path / "rounds.csv")
    flips = found.dataset.flips
    rows = found.rounds[0].removed
    left = np.setdiff1d(np.arange(80), rows)
    assert (first["round"], first["accepted"], first["reason"]) == ("1", "true", "Reason <1>.")
    assert (int(first["removed"]), int(first["kept"])) == (len(rows), 80 - len(rows))
    assert (float(first["validation_before"]), float(first["validation_after"])) == (0.6, 0.8)
    assert float(first["noise_before"]) == pytest.approx(flips.mean())
    assert float(first["noise_after"]) == pytest.approx(flips[left].mean())
    assert float(first["precision"]) == pytest.approx(flips[rows].mean())
    assert float(first["recall"]) == pytest.approx(flips[rows].sum() / flips.sum())
    assert float(first["test"]) == pytest.approx(0.77)
    assert (first["find_seconds"], first["train_seconds"]) == ("0.5", "2.0")
    assert (second["accepted"], second["kept"]) == ("false", first["kept"])


def test_what_was_not_measured_is_an_empty_cell(tmp_path):
    write_rounds(tmp_path / "rounds.csv", repaired(rounds="nothing", truth=False))
    (line,) = table(tmp_path / "rounds.csv")
    assert [line[name] for name in ("validation_after", "noise_before", "precision", "recall")] == [""] * 4
    assert line["removed"] == "0"
    assert "test" not in line


def test_arrays_read_back_with_the_mixtures(tmp_path):
    found = repaired()
    mixtures = (None, *found.evidence.info.mixtures[1:])
    seen = found.evidence._replace(info=found.evidence.info._replace(mixtures=mixtures))
    object.__setattr__(found, "evidence", seen)
    out = report.write_repair(found, tmp_path / "out", report=False)
    arrays = read_npz(out / "scores.npz")
    np.testing.assert_array_equal(arrays["ids"], found.dataset.ids)
    np.testing.assert_array_equal(arrays["given"], found.dataset.labels)
    for name in ("labels", "used", "removed_in", "confidence", "scores"):
        np.testing.assert_array_equal(arrays[name], getattr(found, name))
    for name in ("losses", "osm", "osd", "queries", "spread_rows", "spread", "embedded_rows", "before", "after"):
        np.testing.assert_array_equal(arrays[name], getattr(seen, name))
    for name in ("candidates", "votes", "required"):
        np.testing.assert_array_equal(arrays[name], getattr(seen.info, name))
    assert int(arrays["shown_class"]) == 2
    assert np.isnan(arrays["mixture_means"][0]).all()
    for part in ("means", "variances", "weights"):
        np.testing.assert_array_equal(arrays[f"mixture_{part}"][1], getattr(mixtures[1], part))


def test_the_summary_counts_every_example_once():
    found = repaired()
    summary = report.summarize_repair(found)
    counts, clean = summary["labels"], found.dataset.clean_labels
    assert counts["relabelled"] + counts["restored"] + counts["left_out"] == counts["dropped"]
    assert counts["used"] == 80 - counts["left_out"] - counts["doubted"]
    again = [k for k in range(80) if found.removed_in[k] and found.used[k] and found.labels[k] != k % 3]
    assert counts["relabelled"] == len(again)
    flips = clean != np.arange(80) % 3
    assert summary["truth"] == {
        "noise_before": pytest.approx(flips.mean()),
        "noise_after": pytest.approx((found.labels != clean)[found.used].mean()),
        "precision": pytest.approx(flips[found.removed_in > 0].mean()),
        "recall": pytest.approx((found.removed_in > 0)[flips].mean()),
        "relabelled_right": pytest.approx(np.mean([found.labels[k] == clean[k] for k in again])),
    }
    assert summary["seeds"] == {"seed": 3}
    assert summary["accuracies"]["trained anew"] == {"validation": 0.9, "test": 0.88}
    assert [entry["removed"] for entry in summary["rounds"]] == [len(info.removed) for info in found.rounds]
    assert summary["evidence"]["candidates"] == (found.evidence.osm >= 0).sum()


def test_without_truth_or_evidence_the_summary_says_so(tmp_path):
    out = report.write_repair(repaired(truth=False, seen=False, rounds="nothing"), tmp_path / "out", report=False)
    summary = read_json(out / "summary.json")
    assert summary["truth"] is None
    assert summary["evidence"] is None
    assert summary["rounds"][0]["accuracy_after"] is None, "NaN is no JSON"
    assert summary["labels"]["dropped"] == 0
    assert "osm" not in read_npz(out / "scores.npz")


def test_all_files_or_none(tmp_path, monkeypatch):
    found = repaired(seen=False)
    (tmp_path / "old" / "checkpoints").mkdir(parents=True)
    (tmp_path / "old" / "checkpoints" / "model").write_text("weights")
    with monkeypatch.context() as patch:
        patch.setattr(repair_folder, "write_scores", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        for name in ("new", "old"):
            with pytest.raises(OSError, match="full"):
                report.write_repair(found, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["checkpoints"]
    out = report.write_repair(found, tmp_path / "old")
    assert {path.name for path in out.iterdir()} == {*report.REPAIR_FILES, "checkpoints"}
    with pytest.raises(ValueError, match="already holds a run"):
        report.write_repair(found, out)
    report.write_repair(found, out, report=False, overwrite=True)
    assert {path.name for path in out.iterdir()} == {*report.REPAIR_FILES, "checkpoints"} - {"report.html"}
    assert (out / "checkpoints" / "model").read_text() == "weights"
