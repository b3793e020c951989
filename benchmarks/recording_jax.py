"""What recording costs in the library's training: time per step, growth with n, and memory."""

import tempfile
from pathlib import Path
from typing import Any

import common
import jax
import jax.numpy as jnp
import jax_loops
import numpy as np

from jaxnoisy.data import make as make_dataset
from jaxnoisy.dynamics import recorder
from jaxnoisy.models import build
from jaxnoisy.training import TrainConfig, fit

VARIANTS = {
    "none": ("none", False),
    "none, again": ("none", False),
    "recorded": ("train", False),
    "recorded, with probabilities": ("train", True),
}
"""Name -> (record, probabilities). The second "none" says how far two equal programs differ on this host."""


def step_cost(
    model: str, n: int, *, columns: int, batch: int, steps: int, rounds: int, scan: bool, seed: int
) -> dict[str, Any]:
    """Seconds a step of each of :data:`VARIANTS`, interleaved, and what it adds to the first."""
    images = model != "mlp"
    inputs, labels = jax_loops.random_images(n, seed) if images else jax_loops.random_features(n, 512, seed)
    options: dict[str, Any] = {} if images else {"hidden": (256,)}
    loops = {}
    for name, (record, probabilities) in VARIANTS.items():
        config = TrainConfig(
            epochs=columns, batch_size=batch, learning_rate=0.01, schedule="constant", record=record, seed=seed
        )
        loops[name] = jax_loops.Loop(
            model, inputs, labels, config, steps=steps, scan=scan, probabilities=probabilities, **options
        )
    seconds = common.interleaved(loops, rounds=rounds)
    return {
        "step_seconds": {name: common.spread(np.array(values) / steps) for name, values in seconds.items()},
        "overhead": common.overheads(seconds, "none"),
        "compile_seconds": {name: loop.compile_seconds for name, loop in loops.items()},
        "parameters": loops["none"].parameters,
    }


def growth(sizes: tuple[int, ...], *, columns: int, batch: int, calls: int, rounds: int, seed: int) -> dict[str, Any]:
    """Bytes of the buffers, and seconds to record one batch into them, for traces of ``sizes`` examples."""
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(rng.standard_normal((batch, jax_loops.NUM_CLASSES), dtype=np.float32))
    labels = jnp.asarray(rng.integers(0, jax_loops.NUM_CLASSES, batch))
    write = jax.jit(recorder.record, donate_argnums=0)
    sized, held = {}, {}
    for n in sizes:
        buffers = recorder.init(n, columns, jax_loops.NUM_CLASSES)
        held[n] = sum(x.nbytes for x in jax.tree.leaves(buffers))
        rows = [jnp.asarray(rng.choice(n, batch, replace=False)) for _ in range(calls)]
        sized[str(n)] = _recording(write, buffers, rows, labels, logits, columns)
    seconds = common.interleaved(sized, rounds=rounds)
    return {
        "bytes": held,
        "record_seconds": {name: common.spread(np.array(values) / calls) for name, values in seconds.items()},
    }


def _recording(write, buffers, rows, labels, logits, columns):
    def run() -> None:
        nonlocal buffers
        for number, part in enumerate(rows):
            buffers = write(buffers, number % columns, part, labels, logits)
        jax.block_until_ready(buffers)

    return run


def peak_memory(n: int, *, columns: int, storage: str, batch: int, seed: int) -> dict[str, Any]:
    """Peak memory of a whole ``fit`` of a linear model on 8 features, up to and with its trace.

    ``storage``: "none" records nothing; "float32" and "float16" keep the trace on the device; "spilled" moves each
    epoch to disk. ``anonymous`` is what the process itself holds; ``resident`` adds pages of mapped files, which the
    system drops when it needs the memory.
    """
    inputs, labels = jax_loops.random_features(n, 8, seed)
    data = make_dataset(inputs, labels)
    config = TrainConfig(
        epochs=columns,
        batch_size=batch,
        learning_rate=0.01,
        record="none" if storage == "none" else "train",
        trace_dtype="float16" if storage == "float16" else "float32",
        seed=seed,
    )
    model = build("linear", input_shape=(8,), num_classes=jax_loops.NUM_CLASSES, key=jax.random.key(seed))
    anonymous = [_status("RssAnon")]
    with tempfile.TemporaryDirectory() as folder:
        spill = Path(folder) / "trace" if storage == "spilled" else None
        done = fit(model, data, config, spill=spill, on_epoch=lambda _: anonymous.append(_status("RssAnon")))
        anonymous.append(_status("RssAnon"))
        return {
            "before_bytes": anonymous[0],
            "peak_anonymous_bytes": max(anonymous),
            "peak_resident_bytes": _status("VmHWM"),
            "trace_bytes": 0 if done.trace is None else sum(field.nbytes for field in done.trace.seen),
            "epoch_seconds": common.spread([report.seconds for report in done.history]),
        }


def _status(field: str) -> int:
    """A memory figure of this process in bytes. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))
