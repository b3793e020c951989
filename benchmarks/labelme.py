"""How well wrong crowd labels are found on LabelMe's features, next to cleanlab with the same and with its usual model.

One unit of work is (labels, model, seed, route). The route "audit" trains once ("aum-threshold" twice more), the route
"cleanlab" five times on four fifths of the examples: with the same model, and with scikit-learn's logistic regression.
"""

import common
import packs
import routes

from jaxnoisy.audit import allowed

LABELS = ("majority", "one_annotator")
MODELS = ("linear", "mlp")


def main() -> None:
    options = common.parser("labelme", __doc__)
    options.add_argument("--labels", type=common.words, default=LABELS)
    options.add_argument("--models", type=common.words, default=MODELS)
    options.add_argument("--seeds", type=common.integers, default=tuple(range(10)))
    options.add_argument("--methods", type=common.words, default=allowed(), help=f"some of {','.join(allowed())}")
    options.add_argument("--epochs", type=int, help="default: the model's recipe")
    args = options.parse_args()
    if args.quick:
        args.seeds, args.labels, args.models, args.epochs = args.seeds[:1], args.labels[:1], args.models[:1], 3

    dataset = packs.labelme()
    settings = {"epochs": args.epochs or "recipe", "folds": routes.FOLDS, "methods": args.methods}
    results = common.Results(args, settings)
    for labels in args.labels:
        data = dataset(labels)
        for seed in args.seeds:
            for model in args.models:
                chosen = {"model": model, "epochs": args.epochs, "seed": seed}
                results.measure(
                    lambda data=data, chosen=chosen: routes.audit_route(data, **chosen, methods=args.methods),
                    labels=labels,
                    model=model,
                    seed=seed,
                    route="audit",
                )
                results.measure(
                    lambda data=data, chosen=chosen, seed=seed: routes.cleanlab_route(
                        data, routes.same_model(data, **chosen), seed=seed
                    ),
                    labels=labels,
                    model=model,
                    seed=seed,
                    route="cleanlab",
                )
            results.measure(
                lambda data=data, seed=seed: routes.cleanlab_route(data, routes.logistic_regression(data), seed=seed),
                labels=labels,
                model="sklearn logistic regression",
                seed=seed,
                route="cleanlab",
            )


if __name__ == "__main__":
    main()
