"""Learned sample weights (LSW) beside other methods: detection, the classifier trained on what is kept, and settings.

Parts: "choose", in which LSW's rate, and whether it looks ahead through all parameters or all but the head's, are
chosen on ten classes of CIFAR-100; "compare", every method on digits and CIFAR-10 at 40 % wrong labels of three kinds,
with the paper's six settings (Table 6), and LSW and MW-Net done otherwise; "rates", how much the rate matters there,
looked at with the choice made; "clean", CIFAR-10 with 10 to 100 clean examples per class (Table 7); "routes", what
cheaper look-aheads save and lose. CIFAR comes as features that no label has touched (patch_features.py), and the model
is the library's perceptron. The paper trains ResNet-34 on 45,000 images with 5,000 clean ones.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import common
import patch_features
from lsw_routes import DEEP, Bench, compared, learned_with, routes, with_clean
from lsw_tasks import CHOOSING, CIFAR10, DIGITS, NOISES, Plan, make_task

PARTS = ("choose", "compare", "rates", "clean", "routes")
RATES = (0.1, 0.2, 0.4, 0.8, 1.6)
CHOSEN = {"rate": 0.4}
"""LSW as it is compared, through all parameters but the head's: what part "choose" found best by the mean of F1."""

SIZES = (10, 20, 50, 100)
EPOCHS, QUICK = 20, 4
REPORTED = {"digits": DIGITS, "cifar10": CIFAR10}


def main() -> None:
    options = common.parser("lsw", __doc__)
    options.add_argument("--parts", type=common.words, default=PARTS, help=f"some of {','.join(PARTS)}")
    options.add_argument("--data", type=common.words, default=tuple(REPORTED), help="of compare, rates and routes")
    options.add_argument("--seeds", type=common.integers, default=(0, 1, 2))
    options.add_argument("--work", type=Path, default=patch_features.WORK, help="where the features are kept")
    args = options.parse_args()
    noises, plans = NOISES, {**REPORTED, "cifar100": CHOOSING}
    if args.quick:
        args.seeds, args.data, noises = args.seeds[:1], ("digits",), NOISES[:1]
        plans = dict.fromkeys(plans, dataclasses.replace(DIGITS, train=300, clean=5, test=100))
    described = {name: dataclasses.asdict(plan) for name, plan in plans.items()}
    settings = {**described, "epochs": EPOCHS, "rates": RATES, "sizes": SIZES}
    results = common.Results(args, settings)
    for part in args.parts:
        for seed in args.seeds[: {"choose": 2, "routes": 1}.get(part)]:
            for noise in noises[:1] if part == "clean" else noises:
                for data in {"choose": ("cifar100",), "clean": ("cifar10",)}.get(part, args.data):
                    _units(results, args, part, plans[data], noise, seed)


def _units(results: common.Results, args: argparse.Namespace, part: str, plan: Plan, noise: str, seed: int) -> None:
    for size in SIZES if part == "clean" else (plan.clean,):
        which: dict[str, Any] = {"part": part, "data": plan.data, "noise": noise, "seed": seed}
        if part == "clean":
            which["clean"] = size
        sized = dataclasses.replace(plan, clean=size)
        results.measure(lambda sized=sized: measured(part, sized, noise, seed, args), **which)


def measured(part: str, plan: Plan, noise: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One unit of work."""
    task = make_task(plan, noise, seed, args.work)
    hidden = DEEP if part == "routes" else (512,)
    bench = Bench(task, seed=seed, epochs=QUICK if args.quick else EPOCHS, hidden=hidden)
    if part == "routes":
        return {"lsw": CHOSEN, **routes(bench, CHOSEN)}
    if part == "choose":
        through = ("body", "all")
        return {"choices": {name: _by_rate(bench, {**CHOSEN, "part": name}) for name in through}}
    if part == "compare":
        return {"lsw": CHOSEN, **compared(bench, CHOSEN, variants=seed == 0)}
    if part == "clean":
        return {"lsw": CHOSEN, **with_clean(bench, CHOSEN)}
    return {"rates": _by_rate(bench, CHOSEN)}


def _by_rate(bench: Bench, options: dict[str, Any]) -> dict[str, Any]:
    return {str(rate): learned_with(bench, {**options, "rate": rate}) for rate in RATES}


if __name__ == "__main__":
    main()
