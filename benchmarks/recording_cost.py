"""What it costs to record training dynamics: time, memory, and how both grow with the number of examples.

Times are of single steps with and without the recorder, taken in turns in one process; what counts is the median of the
ratios per round. Each unit of work runs in a process of its own: the library's loop on JAX, the same model in a PyTorch
loop with the ``aum`` package and with the library's HostRecorder, the growth with n, and the memory of a whole run.
"""

import common

STORAGES = ("none", "float32", "float16", "spilled")


def main() -> None:
    options = common.parser("recording_cost", __doc__)
    options.add_argument("--rounds", type=int, default=60, help="of the ResNet; the MLP gets ten times as many")
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    shared = {"columns": 100, "seed": args.seed}
    n, sizes, most = 50_000, (10_000, 100_000, 1_000_000), 1_000_000
    rounds = {"mlp": 10 * args.rounds, "resnet20": args.rounds}
    steps = {"mlp": 32, "resnet20": 1}
    batch = 128
    if args.quick:
        rounds, n, sizes, most, batch = {"mlp": 5, "resnet20": 3}, 2_000, (1_000, 10_000), 20_000, 32

    results = common.Results(args, {"n": n, "batch": batch, "steps_per_round": steps, "rounds": rounds, **shared})
    for model in ("mlp", "resnet20"):
        chosen = {"batch": batch, "steps": steps[model], "rounds": rounds[model], **shared}
        # A convolution in a scan is slow on a CPU, where the library steps from the host instead.
        for scan in (True, False) if model == "mlp" else (False,):
            results.measure(
                lambda model=model, scan=scan, chosen=chosen: _jax("step_cost", model, n, scan=scan, **chosen),
                part="step",
                model=model,
                loop="JAX, scanned epoch" if scan else "JAX, single steps",
            )
        results.measure(
            lambda model=model, chosen=chosen: _torch("step_cost", model, n, **chosen),
            part="step",
            model=model,
            loop="PyTorch",
        )
    results.measure(
        lambda: _jax("growth", sizes, batch=batch, calls=50, rounds=rounds["resnet20"], **shared), part="growth"
    )
    for storage in STORAGES:
        results.measure(
            lambda storage=storage: _jax("peak_memory", most, storage=storage, batch=8192, **shared),
            part="memory",
            n=most,
            storage=storage,
        )


def _jax(name: str, *args, **kwargs):
    return common.in_own_process(_call, "recording_jax", name, *args, **kwargs)


def _torch(name: str, *args, **kwargs):
    return common.in_own_process(_call, "recording_torch", name, *args, **kwargs)


def _call(module: str, name: str, *args, **kwargs):
    """Import the module only here, so that a process holds one framework."""
    return getattr(__import__(module), name)(*args, **kwargs)


if __name__ == "__main__":
    main()
