"""What Influential Rank brings on small data sets, beside other repairs of the same model, and what scoring costs.

Parts: "digits" and "cifar10", in which one overfitted model is post-trained for two rounds by each rule; "rounds", four
rounds on CIFAR-10; "clean", two rounds where no label was made wrong; "settings", two rounds on digits under other
settings of the scores and of post-training; "time", the scores of 50,000 examples beside the training epoch that such
features come from. Every number of classes to ask for ("gamma") is tried on the first round's scores of "digits" and
"cifar10", where it costs no training.

The paper trains ResNet-34 on 50,000 images for 120 epochs. Two cores do not: here "cifar10" is a part of the images and
a small network, long enough trained to remember wrong labels.
"""

import argparse
import dataclasses
from typing import Any

import common
import repair_routes
import repair_settings
from repair_tasks import GAMMA, Plan, make_task

DIGITS = Plan(
    model="mlp",
    options={"hidden": (128,)},
    train=1097,
    validation=200,
    test=500,
    epochs=60,
    learning_rate=0.05,
    batch_size=64,
    weight_decay=0.0,
    post_epochs=20,
)
CIFAR10 = Plan(
    model="cnn",
    train=10_000,
    validation=500,
    test=2000,
    epochs=20,
    learning_rate=0.05,
    batch_size=128,
    weight_decay=5e-4,
    post_epochs=6,
)
TIME = {"n": 50_000, "features": 512, "classes": 10, "validation": 500, "model": "resnet18"}
SYMMETRIC = tuple(name for name in GAMMA if name.startswith("symmetric"))
NOISES = {"digits": SYMMETRIC, "cifar10": (*SYMMETRIC, "worst"), "rounds": (*SYMMETRIC, "worst"), "clean": ("clean",)}
NOISES["settings"] = SYMMETRIC[:1]
PARTS = (*NOISES, "time")
MANY = 4


def main() -> None:
    options = common.parser("influential_rank", __doc__)
    options.add_argument("--parts", type=common.words, default=PARTS, help=f"some of {','.join(PARTS)}")
    options.add_argument("--noises", type=common.words, help="only these, such as symmetric-20,worst")
    options.add_argument("--seeds", type=common.integers, default=(0, 1, 2))
    args = options.parse_args()
    plans, sizes = {"digits": DIGITS, "cifar10": CIFAR10}, dict(TIME)
    if args.quick:
        args.seeds = args.seeds[:1]
        plans = {name: _tiny(plan) for name, plan in plans.items()}
        sizes |= {"n": 2000, "features": 16, "validation": 50, "model": "cnn"}
    described = {name: dataclasses.asdict(plan) for name, plan in plans.items()}
    choices = {"gamma": GAMMA, "fewer": repair_routes.FEWER, "damping": repair_routes.DAMPING}
    results = common.Results(args, {**described, **choices, "time": sizes})
    for part in args.parts:
        if part == "time":
            results.measure(lambda: common.call("scoring_time", "measured", **sizes), part="time")
        else:
            _repairs(results, args, part, plans)


def _repairs(results: common.Results, args: argparse.Namespace, part: str, plans: dict[str, Plan]) -> None:
    data = "digits" if part in ("digits", "settings") else "cifar10"
    noises = NOISES[part][:1] if args.quick else NOISES[part]
    for noise in noises:
        if args.noises and noise not in args.noises:
            continue
        for seed in args.seeds:

            def measured(noise: str = noise, seed: int = seed) -> dict[str, Any]:
                # A process for each, so that compiled programs of earlier ones take no memory.
                return common.call("influential_rank", "unit", part, data, noise, seed, plans[data])

            results.measure(measured, part=part, noise=noise, seed=seed)


def unit(part: str, data: str, noise: str, seed: int, plan: Plan) -> dict[str, Any]:
    """One unit of work."""
    task = make_task(data, noise, seed, plan)
    if part == "settings":
        return repair_settings.varied(task, noise, plan, seed)
    if part == "rounds":
        return repair_routes.many_rounds(task, noise, plan, seed, rounds=MANY)
    return repair_routes.compared(task, noise, plan, seed)


def _tiny(plan: Plan) -> Plan:
    return dataclasses.replace(plan, train=300, validation=100, test=100, epochs=2, post_epochs=1)


if __name__ == "__main__":
    main()
