import json
from pathlib import Path

import jax
import numpy as np
from report_examples import findings

import jaxnoisy
from jaxnoisy import files, report
from jaxnoisy.metrics import DetectionMetrics, detection_metrics


def strict(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(Path(path).read_text(), parse_constant=refuse)


def test_measures_are_those_of_the_metrics(tmp_path):
    found = findings()
    files.write_json(tmp_path / "summary.json", report.summarize(found))
    summary = strict(tmp_path / "summary.json")
    assert list(summary["metrics"]) == ["aum", "small-loss"]
    for name, detection in found.detections.items():
        expected = detection_metrics(detection.scores, detection.flagged, found.flips)
        assert set(summary["metrics"][name]) == set(DetectionMetrics._fields)
        assert summary["metrics"][name] == expected._asdict()
        assert summary["methods"][name]["flagged"] == detection.flagged.sum()
        assert summary["methods"][name]["flagged_share"] == detection.flagged.mean()
    assert summary["methods"]["aum"]["threshold"] == found.detections["aum"].threshold
    assert summary["methods"]["small-loss"]["threshold"] is None
    assert summary["known_noise_rate"] == np.mean(found.flips)


def test_without_the_truth_there_are_no_measures():
    summary = report.summarize(findings(truth=False))
    assert summary["metrics"] == {}
    assert summary["known_noise_rate"] is None


def test_measures_that_are_not_defined_are_null(tmp_path):
    found = findings(flag="none")
    found.flips[:] = False
    files.write_json(tmp_path / "summary.json", report.summarize(found))
    summary = strict(tmp_path / "summary.json")
    assert summary["metrics"]["aum"]["roc_auc"] is None
    assert summary["metrics"]["aum"]["fdr"] == 0


def test_how_it_was_made():
    summary = report.summarize(findings(c=4, t=7))
    assert summary["settings"] == {"seed": 3, "nested": {"split_seed": 4, "rate": 0.2}}
    assert summary["seeds"] == {"seed": 3, "nested.split_seed": 4}
    assert summary["timings"] == {"train": 1.5}
    assert summary["versions"]["jax"] == jax.__version__
    assert summary["versions"]["jaxnoisy"] == jaxnoisy.__version__
    assert summary["device"] == {
        "platform": jax.default_backend(),
        "kind": jax.devices()[0].device_kind,
        "count": jax.device_count(),
    }
    assert summary["primary"] == "aum"
    assert summary["noise_rate"] == 0.25
    data = summary["data"]
    assert (data["examples"], data["classes"], data["epochs"]) == (60, 4, 7)
    assert (data["inputs"], data["shape"]) == ("images", [6, 5, 1])


def test_without_a_data_set():
    data = report.summarize(findings(inputs=None))["data"]
    assert (data["name"], data["inputs"], data["shape"], data["skipped"]) == (None, None, None, [])


def test_settings_that_json_cannot_say_become_text(tmp_path):
    settings = {"out": Path("some/where"), "rates": np.array([0.5, 1.0]), "n": np.int64(3), "none": None, "t": (1, 2)}
    files.write_json(tmp_path / "s.json", report.summarize(findings(settings=settings)))
    assert strict(tmp_path / "s.json")["settings"] == {
        "out": str(Path("some/where")),
        "rates": [0.5, 1.0],
        "n": 3,
        "none": None,
        "t": [1, 2],
    }
