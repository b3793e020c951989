import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FEATURES, GIVEN, LABELS, C, N, arrays, done, refused, same_arrays

import jaxnoisy.audit
from jaxnoisy import data, dynamics, report
from jaxnoisy.audit import allowed, audit
from jaxnoisy.detect import TRACE_METHODS
from jaxnoisy.files import read_json
from jaxnoisy.report import FILES, read_detections, read_issues
from jaxnoisy.training import TrainConfig
from jaxnoisy.training.recipes import recipe

ALL_DEVICES = "detect --data npz:ok.npz --model linear --out out"
DETECT = f"{ALL_DEVICES} --devices 1"


def test_the_folder_holds_what_is_promised(here):
    printed = done(f"{DETECT} --epochs 2 --method el2n,aum --seed 1")
    assert {p.name for p in Path("out").iterdir()} == {*FILES, "checkpoints"}
    table = read_issues("out/issues.csv")
    assert sorted(table.id, key=int) == [str(k) for k in range(N)]
    assert table.rank.tolist() == list(range(1, N + 1))
    rows = table.id.astype(int)
    np.testing.assert_array_equal(table.given_label, GIVEN[rows].astype(str))
    _, detections = read_detections("out/detections.npz")
    assert list(detections) == ["el2n", "aum"]
    np.testing.assert_array_equal(table.score, detections["el2n"].scores[rows])
    np.testing.assert_array_equal(table.flagged, detections["el2n"].flagged[rows])
    summary = read_json("out/summary.json")
    assert summary["primary"] == "el2n"
    assert summary["settings"]["epochs"] == 2
    assert summary["seeds"] == {"seed": 1}
    assert summary["known_noise_rate"] == pytest.approx(6 / N)
    trace = dynamics.load("out/trace.npz")
    assert (len(trace), trace.epochs, trace.num_classes) == (N, 2, C)
    np.testing.assert_array_equal(trace.labels, GIVEN)
    assert trace.fingerprint == data.load("npz:ok.npz").fingerprint()
    assert f"{detections['el2n'].flagged.sum()} of {N} labels flagged by el2n; report: out/report.html" in printed
    assert "el2n*" in printed.replace(" *", "*")


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("", tuple(TRACE_METHODS)),
        ("--method all", allowed(2)),
        ("--method el2n,all", ("el2n", *(m for m in allowed(2) if m != "el2n"))),
        ("--method ' el2n , aum,el2n'", ("el2n", "aum")),
        ("--epochs 1", tuple(m for m in TRACE_METHODS if m not in ("forgetting", "variability", "lstm"))),
        ("--method all --epochs 1", tuple(m for m in allowed(2) if m not in ("forgetting", "variability", "lstm"))),
        ("--method all --epochs 3", allowed()),
    ],
)
def test_which_methods_run(here, monkeypatch, option, expected):
    def begins(_examples, *, methods, **_options):
        raise ValueError(" ".join(getattr(method, "name", method) for method in methods))

    monkeypatch.setattr(jaxnoisy.audit, "audit", begins)
    assert refused(f"{DETECT} --epochs 2 {option}") == f"jaxnoisy: error: {' '.join(expected)}\n"


def test_it_is_the_audit_of_the_library(here):
    """The same scores and flags, and the same recording, from Python and from the command line."""
    done(f"{DETECT} --epochs 3 --method all --seed 7 --batch-size 16")
    examples = data.load("npz:ok.npz")
    config = recipe("linear", examples, epochs=3, seed=7, batch_size=16)
    found = audit(examples, methods=allowed(), model="linear", config=config, seed=7)
    report.write(found, "python")
    for name in ("detections.npz", "trace.npz"):
        same_arrays(f"out/{name}", f"python/{name}")
    assert Path("out/issues.csv").read_bytes() == Path("python/issues.csv").read_bytes()
    assert read_json("out/summary.json")["metrics"] == read_json("python/summary.json")["metrics"]


def test_the_same_seed_gives_the_same_run_and_another_another(here):
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        done(f"{DETECT} --epochs 2 --method aum --seed {seed} --out {out}")
    same_arrays("a/trace.npz", "b/trace.npz")
    assert (arrays("a/trace.npz")["log_p_given"] != arrays("c/trace.npz")["log_p_given"]).any()


def test_options_reach_the_training(here):
    images = np.random.default_rng(0).integers(0, 255, size=(40, 8, 8, 1)).astype(np.uint8)
    np.savez("images.npz", inputs=images, labels=np.arange(40) % 2)
    options = "--epochs 2 --batch-size 8 --learning-rate 0.01 --optimizer adamw --record eval --flip --crop 1"
    done(f"{DETECT} --data npz:images.npz --model mlp --method aum {options} --dtype bfloat16 --seed 9")
    settings = read_json("out/summary.json")["settings"]
    expected = TrainConfig(
        epochs=2, batch_size=8, learning_rate=0.01, optimizer="adamw", record="eval", flip=True, crop=1, seed=9
    )
    assert all(settings[name] == getattr(expected, name) for name in vars(expected) if name != "step_epochs")
    assert (settings["model"], settings["dtype"]) == ("mlp", "bfloat16")
    assert dynamics.load("out/trace.npz").mode == "eval"


@pytest.mark.parametrize(
    ("shape", "options", "model"),
    [((8, 8, 1), "", "cnn"), ((7, 8, 1), "", "mlp"), ((5,), "", "mlp"), ((8, 8, 1), "--model linear", "linear")],
)
def test_the_model_is_chosen_by_the_data(here, monkeypatch, shape, options, model):
    np.savez("other.npz", inputs=np.random.default_rng(0).random((24, *shape)), labels=np.arange(24) % 2)

    def begins(examples, *, model, **_options):
        raise ValueError(f"begins with {model} on {examples.inputs.shape}")

    monkeypatch.setattr(jaxnoisy.audit, "audit", begins)
    assert f"begins with {model} on {(24, *shape)}" in refused(f"detect --data npz:other.npz {options} --out out")


def test_other_labels_on_the_same_examples(here):
    done("noise --labels npy:y.npy --kind asymmetric --rate 0.3 --seed 2 --out noisy.npz")
    np.save("noisy.npy", arrays("noisy.npz")["labels"])
    for kind in ("npy", "npz"):
        done(f"{DETECT} --labels npy:noisy.{kind} --epochs 2 --method aum --out {kind}")
        np.testing.assert_array_equal(dynamics.load(f"{kind}/trace.npz").labels, arrays("noisy.npz")["labels"])
        assert read_json(f"{kind}/summary.json")["known_noise_rate"] == pytest.approx(
            arrays("noisy.npz")["mask"].mean()
        )


def test_human_labels_make_the_data_s_own_the_truth(here):
    np.savez("plain.npz", inputs=FEATURES, labels=LABELS)
    np.savez("human.npz", worst=GIVEN, clean=LABELS)
    done(
        "detect --data npz:plain.npz --labels cifar10n:human.npz:worst --model linear --epochs 2 --method aum --out out"
    )
    np.testing.assert_array_equal(dynamics.load("out/trace.npz").labels, GIVEN)
    assert read_json("out/summary.json")["known_noise_rate"] == pytest.approx(6 / N)


def test_a_table(here):
    rows = [",".join(map(str, (*x.tolist(), "abc"[y]))) for x, y in zip(FEATURES, LABELS)]
    Path("table.csv").write_text("\n".join(["v,w,x,y,z,label", *rows]) + "\n")
    done("detect --data csv:table.csv --model linear --epochs 2 --method aum --devices 1 --out out")
    assert set(read_issues("out/issues.csv").given_label) == {"a", "b", "c"}


def test_without_out_each_run_gets_a_folder_of_its_own(here):
    for _ in range(2):
        done("detect --data npz:ok.npz --model linear --epochs 2 --method aum --devices 1")
    assert {p.name for p in here.iterdir() if p.is_dir()} == {"jaxnoisy-detect", "jaxnoisy-detect-2"}


def test_files_beside_the_results_are_kept(here):
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    done(f"{DETECT} --epochs 2 --method aum")
    assert Path("out/notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_eight_devices_agree_with_one(here):
    """In a process whose eight virtual devices come from XLA's own flag, next to one device here."""
    options = "--data npz:ok.npz --model linear --epochs 3 --batch-size 16 --method aum,confident-learning --seed 1"
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    del flags["JAX_NUM_CPU_DEVICES"]
    command = [sys.executable, "-m", "jaxnoisy.cli", "detect", *options.split(), "--devices", "8", "--out", "eight"]
    subprocess.run(command, env=flags, check=True, capture_output=True)
    assert read_json("eight/summary.json")["device"]["count"] == 8
    done(f"detect {options} --devices 1 --out one")
    for name in ("trace.npz", "detections.npz"):
        one, eight = arrays(f"one/{name}"), arrays(f"eight/{name}")
        assert one.keys() == eight.keys()
        for key, value in one.items():
            if value.dtype.kind == "f":
                np.testing.assert_allclose(eight[key], value, rtol=1e-4, atol=1e-4, err_msg=key)
            else:
                np.testing.assert_array_equal(eight[key], value, err_msg=key)


def test_all_devices_are_used_where_the_batch_splits(here, monkeypatch):
    import jax

    meshes, real = [], jaxnoisy.audit.audit
    monkeypatch.setattr(jaxnoisy.audit, "audit", lambda *a, **k: meshes.append(k["mesh"]) or real(*a, **k))
    count = len(jax.devices())
    done(f"{ALL_DEVICES} --epochs 1 --method aum --batch-size {2 * count} --out split")
    done(f"{ALL_DEVICES} --epochs 1 --method aum --batch-size {2 * count + 1} --out odd")
    assert (meshes[0].size if meshes[0] is not None else 1) == count
    if count > 1:
        assert meshes[1] is None
