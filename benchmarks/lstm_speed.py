"""How long the LSTM detector takes to train and to score, beside the same network in PyTorch and in Flax.

Scoring: n traces of t epochs, two layers of 64. Training: steps of AdamW on batches of 64, as many as fit a fraction of
an epoch, and from them the seconds of a whole training of ten epochs. All variants take turns in one process, with the
same weights for scoring; compile time is apart. PyTorch's variants are left out where it is not installed.
"""

import importlib.util
import time

import common
import numpy as np

EPOCHS, BATCH, HIDDEN = 10, 64, 64


def main() -> None:
    options = common.parser("lstm_speed", __doc__)
    options.add_argument("--n", type=int, default=50_000)
    options.add_argument("--t", type=int, default=200)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=100, help="training steps a round")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--parts", type=common.words, default=("score", "train"), help="score, train, or both")
    args = options.parse_args()
    if args.quick:
        args.n, args.t, args.rounds, args.steps = 600, 20, 2, 3
    settings = {name: getattr(args, name) for name in ("n", "t", "rounds", "steps", "seed")}
    results = common.Results(args, {**settings, "batch": BATCH, "hidden": HIDDEN, "epochs": EPOCHS})
    works = {
        "score": lambda: common.call("lstm_speed", "scoring", args.n, args.t, args.rounds, args.seed),
        "train": lambda: common.call("lstm_speed", "training", args.n, args.t, args.rounds, args.steps, args.seed),
    }
    for part in args.parts:
        results.measure(works[part], part=part)


def scoring(n: int, t: int, rounds: int, seed: int) -> dict:
    import jax
    import lstm_peers as peers

    from jaxnoisy.detect import LSTMDetector, lstm_network

    weights = lstm_network.init(jax.random.key(seed), signals=1, hidden=HIDDEN, layers=2)
    detector = LSTMDetector(weights, ("probability",), t)
    values = np.random.default_rng(seed).random((n, t, 1), np.float32)
    variants = {"jaxnoisy": lambda: detector.logits(values)}
    variants["Flax RNN"] = lambda: peers.flax_logits(weights, values)
    variants["projections of all steps first"] = lambda: peers.hoisted_logits(weights, values)
    if importlib.util.find_spec("torch"):
        for block, side_by_side in ((64, True), (128, True), (1024, False), (4096, False)):
            how = "a thread each" if side_by_side else "all threads on each"
            name = f"PyTorch, blocks of {block}, {how}"
            variants[name] = peers.torch_scorer(weights, values, block, side_by_side=side_by_side)
    first, answers = {}, {}
    for name, variant in variants.items():
        started = time.perf_counter()
        answers[name] = variant()
        first[name] = time.perf_counter() - started
    seconds = common.interleaved(variants, rounds=rounds, warmup=0)
    return {
        "first_call_seconds": first,
        "seconds": {name: common.spread(values) for name, values in seconds.items()},
        "largest_difference": {name: float(np.abs(a - answers["jaxnoisy"]).max()) for name, a in answers.items()},
    }


def training(n: int, t: int, rounds: int, steps: int, seed: int) -> dict:
    """Ours is the library's own ``fit`` over one epoch of ``steps`` batches; PyTorch's the usual loop over as many."""
    import lstm_peers as peers

    rng = np.random.default_rng(seed)
    rows = steps * BATCH
    values, flips = rng.random((rows + 2, t, 1), np.float32), np.arange(rows + 2) % 3 == 0
    ours, compile_seconds = peers.fit_steps(values, flips, steps, BATCH, HIDDEN, seed)
    variants = {"jaxnoisy": ours}
    if importlib.util.find_spec("torch"):
        variants["PyTorch"] = peers.torch_steps(values, flips, BATCH, HIDDEN)
    seconds = common.interleaved(variants, rounds=rounds, warmup=1)
    whole = EPOCHS * -(-n // BATCH) / steps
    return {
        "compile_seconds": {"jaxnoisy": compile_seconds},
        "step_seconds": {name: common.spread(np.array(s) / steps) for name, s in seconds.items()},
        "whole_training_seconds": {name: common.spread(np.array(s) * whole) for name, s in seconds.items()},
    }


if __name__ == "__main__":
    main()
