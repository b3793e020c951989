"""Settings of the LSTM detector on digits: the paper's beside gentler ones.

One unit of work is (settings, seed): a detector learns from the trace of a network on the digits under 30 % symmetric
noise, and judges traces of other runs, under other noise and of other lengths. AUM judges the same traces.
"""

import dataclasses
from collections.abc import Iterator

import common
import jax
import numpy as np

from jaxnoisy.data.digits import read_digits
from jaxnoisy.detect import Detector, LSTMConfig, aum, lstm, lstm_config, train_detector
from jaxnoisy.dynamics import Trace, inputs
from jaxnoisy.metrics import detection_metrics
from jaxnoisy.models import build
from jaxnoisy.noise.kinds import by_kind
from jaxnoisy.training import TrainConfig, fit

JUDGED = (("symmetric", 0.05, 30), ("symmetric", 0.3, 60), ("symmetric", 0.4, 100), ("asymmetric", 0.2, 60))
LEARNED = ("symmetric", 0.3, 60)


def settings() -> dict[str, LSTMConfig]:
    chosen = {"paper": lstm_config.PAPER, "paper, clipped": dataclasses.replace(lstm_config.PAPER, clip_norm=1.0)}
    for rate in (0.03, 0.01, 0.003, 0.001):
        for schedule in ("constant", "cosine"):
            chosen[f"{rate:g}, {schedule}"] = LSTMConfig(learning_rate=rate, schedule=schedule)
    return chosen


def trace(kind: str, rate: float, epochs: int, seed: int) -> tuple[Trace, np.ndarray]:
    """A run that memorises: the dynamics of the papers are those of networks trained until they fit wrong labels."""
    data = read_digits()
    noisy = by_kind(kind, num_classes=data.num_classes, rate=rate)(jax.random.key(seed), data.labels)
    data = dataclasses.replace(data, labels=np.asarray(noisy.labels))
    model = build("mlp", input_shape=data.inputs.shape[1:], num_classes=data.num_classes, key=jax.random.key(seed))
    config = TrainConfig(epochs=epochs, batch_size=64, learning_rate=0.05, momentum=0.9, weight_decay=1e-4, seed=seed)
    return fit(model, data, config).trace, np.asarray(noisy.mask)


def judged(detect: Detector, traces: dict[str, tuple[Trace, np.ndarray]]) -> dict[str, dict[str, float]]:
    found = {name: (detect(trace), flips) for name, (trace, flips) in traces.items()}
    return {name: detection_metrics(d.scores, d.flagged, flips)._asdict() for name, (d, flips) in found.items()}


def traces(seed: int) -> Iterator[tuple[str, tuple[Trace, np.ndarray]]]:
    for kind, rate, epochs in JUDGED:
        yield f"{kind} {rate:g}, {epochs} epochs", trace(kind, rate, epochs, seed + 1000)


def main() -> None:
    options = common.parser("lstm_settings", __doc__)
    options.add_argument("--seeds", type=common.integers, default=(0, 1, 2, 3, 4))
    args = options.parse_args()
    if args.quick:
        args.seeds = args.seeds[:1]
    results = common.Results(args, {"learned": LEARNED, "judged": JUDGED})
    for seed in args.seeds:
        learned, flips = trace(*LEARNED, seed)
        others = dict(traces(seed))
        results.measure(lambda others=others: {"metrics": judged(aum(), others)}, settings="AUM", seed=seed)
        for name, config in list(settings().items())[: 2 if args.quick else None]:
            values = inputs.sequences(learned, signals=config.signals)
            results.measure(
                lambda values=values, flips=flips, config=config, others=others, seed=seed: _unit(
                    values, flips, config, others, seed
                ),
                settings=name,
                seed=seed,
            )


def _unit(
    values: np.ndarray,
    flips: np.ndarray,
    config: LSTMConfig,
    others: dict[str, tuple[Trace, np.ndarray]],
    seed: int,
) -> dict:
    detector = train_detector(jax.random.key(seed), values, flips, config)
    return {"metrics": judged(lstm(detector), others), "config": dataclasses.asdict(config), **detector.info._asdict()}


if __name__ == "__main__":
    main()
