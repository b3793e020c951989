"""How well wrong human labels are found on CIFAR-10N, and in what time, next to cleanlab with the same network.

One unit of work is (noise, seed, route): the route "audit" trains once and lets every method read the trace
("aum-threshold" trains twice more); the route "cleanlab" trains five times on four fifths of the examples.
"""

import common
import packs
import routes

from jaxnoisy.audit import allowed

NOISES = ("aggre", "random1", "worst")


def main() -> None:
    options = common.parser("cifar10n", __doc__)
    options.add_argument("--noises", type=common.words, default=NOISES)
    options.add_argument("--seeds", type=common.integers, default=(0, 1, 2), help="of the audit")
    options.add_argument("--folds-seeds", type=common.integers, default=(0, 1, 2), help="of the 5-fold route")
    options.add_argument("--methods", type=common.words, default=allowed(), help=f"some of {','.join(allowed())}")
    options.add_argument("--model", default="cnn")
    options.add_argument("--epochs", type=int, default=8)
    args = options.parse_args()
    if args.quick:
        args.seeds, args.folds_seeds, args.epochs = args.seeds[:1], args.folds_seeds[:1], 2
        args.noises = args.noises[:1]

    limit = 1_000 if args.quick else None
    dataset = packs.cifar10n(limit)
    settings = {"model": args.model, "epochs": args.epochs, "folds": routes.FOLDS, "methods": args.methods}
    results = common.Results(args, settings | {"examples": limit or 50_000})
    chosen = {"model": args.model, "epochs": args.epochs}
    for noise in args.noises:
        data = dataset(noise)
        for seed in args.seeds:
            results.measure(
                lambda data=data, seed=seed: routes.audit_route(data, **chosen, seed=seed, methods=args.methods),
                noise=noise,
                seed=seed,
                route="audit",
            )
        for seed in args.folds_seeds:
            held_out = routes.same_model(data, **chosen, seed=seed)
            results.measure(
                lambda data=data, held_out=held_out, seed=seed: routes.cleanlab_route(data, held_out, seed=seed),
                noise=noise,
                seed=seed,
                route="cleanlab",
            )


if __name__ == "__main__":
    main()
