"""Influential Rank and other repairs of a network on features of CIFAR-10 that no label has touched.

The parts are those of influential_rank.py, where the network sees the images; here it sees 512 features of each (see
patch_features.py), which two cores can do for three seeds. Five epochs are what it takes to fit nearly all given labels
at 50 % noise (seed 99), and so to lose half of the accuracy, as the paper's networks do; a round has as many.
"""

import dataclasses
from pathlib import Path
from typing import Any

import common
import patch_features
import repair_routes
from repair_tasks import GAMMA, Plan, make_task

FEATURES = Plan(
    model="mlp",
    options={"hidden": (512,)},
    train=10_000,
    validation=500,
    test=10_000,
    epochs=5,
    learning_rate=0.1,
    batch_size=128,
    weight_decay=5e-4,
    post_epochs=5,
)
NOISES = {
    "features": ("symmetric-20", "symmetric-50", "symmetric-70", "worst"),
    "rounds": ("symmetric-20", "symmetric-50", "symmetric-70", "worst"),
    "clean": ("clean",),
}
MANY = 4


def main() -> None:
    options = common.parser("influential_rank_features", __doc__)
    options.add_argument("--parts", type=common.words, default=tuple(NOISES), help=f"some of {','.join(NOISES)}")
    options.add_argument("--seeds", type=common.integers, default=(0, 1, 2))
    options.add_argument("--work", type=Path, default=patch_features.WORK, help="where the features are kept")
    args = options.parse_args()
    plan = FEATURES
    if args.quick:
        args.seeds = args.seeds[:1]
        plan = dataclasses.replace(plan, train=300, validation=100, test=100, epochs=2, post_epochs=1)
    choices = {"gamma": GAMMA, "fewer": repair_routes.FEWER, "damping": repair_routes.DAMPING}
    results = common.Results(args, {"features": dataclasses.asdict(plan), **choices})
    for part in args.parts:
        for seed in args.seeds:
            for noise in NOISES[part][: 1 if args.quick else None]:

                def measured(part: str = part, noise: str = noise, seed: int = seed) -> dict[str, Any]:
                    return common.call("influential_rank_features", "unit", part, noise, seed, plan, args.work)

                results.measure(measured, part=part, noise=noise, seed=seed)


def unit(part: str, noise: str, seed: int, plan: Plan, work: Path) -> dict[str, Any]:
    """One unit of work."""
    task = make_task("features", noise, seed, plan, work)
    if part == "rounds":
        return repair_routes.many_rounds(task, noise, plan, seed, rounds=MANY)
    return repair_routes.compared(task, noise, plan, seed)


if __name__ == "__main__":
    main()
