"""Training throughput on a GPU: ResNet-34 on 32x32 images with recording on, next to the same network in PyTorch.

Images per second of the whole step (normalise, forward, backward, SGD), batches on the device. JAX runs the library's
scanned epoch and records every step; PyTorch runs torch.compile in channels_last without recording anything. Each runs
in a process of its own, one after the other in the same call. Both may use TF32 in float32, which is JAX's default on
such GPUs. Runs from a checkout too: ``PYTHONPATH=. python benchmarks/resnet34_gpu.py``.
"""

import os
import time
from typing import Any

import common
import numpy as np

DTYPES = ("float32", "bfloat16")


def main() -> None:
    options = common.parser("resnet34_gpu", __doc__)
    options.add_argument("--batches", type=common.integers, default=(128, 512))
    options.add_argument("--dtypes", type=common.words, default=DTYPES)
    options.add_argument("--torch-modes", type=common.words, default=("default", "reduce-overhead"))
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--on-cpu", action="store_true", help="run on a CPU all the same (with --quick, as a check)")
    args = options.parse_args()
    # Two frameworks share the GPU in turn: JAX must not keep memory it does not need.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if not args.on_cpu and common.in_own_process(common.environment)["machine"]["jax_platform"] != "gpu":
        print("skipped: needs a GPU that JAX can use")
        raise SystemExit(0)
    n, steps = 50_000, 50
    if args.quick:
        n, steps, args.rounds = 512, 1, 2
        args.batches, args.torch_modes = (16,), args.torch_modes[:1]

    results = common.Results(args, {"n": n, "steps_per_round": steps, "rounds": args.rounds, "seed": args.seed})
    for batch in args.batches:
        for dtype in args.dtypes:
            shared = {"n": n, "batch": batch, "dtype": dtype, "steps": steps, "rounds": args.rounds, "seed": args.seed}
            for record in ("train", "none"):
                results.measure(
                    lambda shared=shared, record=record: common.in_own_process(jax_speed, record=record, **shared),
                    framework="JAX, recorded" if record == "train" else "JAX, not recorded",
                    batch=batch,
                    dtype=dtype,
                )
            for mode in args.torch_modes:
                results.measure(
                    lambda shared=shared, mode=mode: common.in_own_process(torch_speed, mode=mode, **shared),
                    framework=f"PyTorch, torch.compile {mode}",
                    batch=batch,
                    dtype=dtype,
                )
    counts = {unit["parameters"] for unit in results.content["units"]}
    if len(counts) != 1:
        raise SystemExit(f"the networks differ: they have {sorted(counts)} parameters")


def images(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """CIFAR-10 where it lies at hand, otherwise noise of the same form, and which of the two it is."""
    import jax_loops
    import packs

    if packs.folder("cifar10-train-0", "cifar10-train-1"):
        pixels, labels = packs.cifar10(n)
        return pixels, labels.astype(np.int32), "CIFAR-10"
    return *jax_loops.random_images(n, seed), "random images"


def jax_speed(
    *, n: int, batch: int, dtype: str, steps: int, rounds: int, seed: int, record: str, columns: int = 100
) -> dict[str, Any]:
    import jax
    import jax_loops

    from jaxnoisy.training import TrainConfig

    inputs, labels, source = images(n, seed)
    config = TrainConfig(
        epochs=columns, batch_size=batch, learning_rate=0.01, schedule="constant", record=record, seed=seed
    )
    # On a CPU, where this is only tried out, XLA's convolutions crawl inside a scan.
    scan = jax.default_backend() != "cpu"
    loop = jax_loops.Loop("resnet34", inputs, labels, config, steps=steps, scan=scan, dtype=dtype)
    seconds = common.interleaved({"": loop}, rounds=rounds)[""]
    return _speed(seconds, steps * batch, loop.compile_seconds, loop.parameters, source)


def torch_speed(*, n: int, batch: int, dtype: str, steps: int, rounds: int, seed: int, mode: str) -> dict[str, Any]:
    import torch
    import torch_models
    from torch.nn import functional

    torch.manual_seed(seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pixels, given, source = images(n, seed)
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device, memory_format=torch.channels_last)
    labels = torch.from_numpy(given).long().to(device)
    model = torch_models.resnet34().to(device, memory_format=torch.channels_last)
    parameters = torch_models.parameters(model)
    sample = inputs[:1024].float()
    mean, std = sample.mean((0, 2, 3), keepdim=True), sample.std((0, 2, 3), keepdim=True)
    fused = device == "cuda"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=fused)

    @torch.compile(mode=mode)
    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
            normal = ((x.float() - mean) / std).contiguous(memory_format=torch.channels_last)
            return functional.cross_entropy(model(normal), y)

    def run(count: int = steps) -> None:
        for part in torch.randperm(n, device=device)[: count * batch].reshape(count, batch):
            optimizer.zero_grad(set_to_none=True)
            loss(inputs[part], labels[part]).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    started = time.perf_counter()
    run(1)
    compile_seconds = time.perf_counter() - started
    seconds = common.interleaved({"": run}, rounds=rounds)[""]
    return _speed(seconds, steps * batch, compile_seconds, parameters, source)


def _speed(seconds: list[float], count: int, compile_seconds: float, parameters: int, source: str) -> dict[str, Any]:
    return {
        "images_per_second": common.spread(count / np.array(seconds)),
        "compile_seconds": compile_seconds,
        "parameters": parameters,
        "images": source,
    }


if __name__ == "__main__":
    main()
