"""What a look-ahead costs: (b), one forward-mode pass, and (a), the derivative through the update, beside a plain step.

Times are of single steps, taken in turns in one process, at equal sizes of batch and clean batch; what counts is the
median of the ratios per round. PyTorch differentiates through the update with ``create_graph=True``, in a process of
its own. Peak memory is that of a process that takes a few steps of one kind, above what it held before them.
"""

import common

SIZES = {
    "mlp": {"batch": 128, "steps": 20, "rounds": 100},
    "resnet20": {"batch": 32, "steps": 1, "rounds": 12},
}
"""Steps a call, so that a call takes long enough to be timed, and rounds of calls."""

MEMORY = ("plain", "forward", "reverse")


def main() -> None:
    options = common.parser("lookahead_cost", __doc__)
    options.add_argument("--models", type=common.words, default=tuple(SIZES), help=f"some of {','.join(SIZES)}")
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    sizes = {model: {"batch": 16, "steps": 1, "rounds": 3} for model in SIZES} if args.quick else SIZES
    results = common.Results(args, {"sizes": sizes, "seed": args.seed})
    for model in args.models:
        size = sizes[model]
        for framework in ("jax", "torch"):
            results.measure(
                lambda framework=framework, model=model, size=size: common.call(
                    f"lookahead_{framework}", "step_cost", model, seed=args.seed, **size
                ),
                part="time",
                framework=framework,
                model=model,
            )
            for variant in MEMORY:
                if framework == "torch" and variant == "forward":
                    continue
                results.measure(
                    lambda framework=framework, model=model, size=size, variant=variant: common.call(
                        f"lookahead_{framework}", "peak_memory", model, variant, batch=size["batch"], seed=args.seed
                    ),
                    part="memory",
                    framework=framework,
                    model=model,
                    variant=variant,
                )


if __name__ == "__main__":
    main()
