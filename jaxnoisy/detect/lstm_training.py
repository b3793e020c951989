"""Train a learned detector on traces whose wrong labels are known, and fine-tune it on others."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

import jaxnoisy
from jaxnoisy import check, files
from jaxnoisy.detect.lstm_config import FINE_TUNING, LSTMConfig
from jaxnoisy.detect.lstm_detector import LSTMDetector
from jaxnoisy.detect.lstm_fit import fit, hold_out
from jaxnoisy.detect.lstm_network import LSTMWeights, init
from jaxnoisy.dynamics.inputs import pooled
from jaxnoisy.dynamics.trace import Trace
from jaxnoisy.types import ArrayLike, Key

_fit = jax.jit(fit, static_argnames="config")
_init = jax.jit(init, static_argnames=("signals", "hidden", "layers"))


def train_detector(
    key: Key, sequences: ArrayLike, flips: ArrayLike, config: LSTMConfig | None = None, *, about: str = ""
) -> LSTMDetector:
    """Train a detector from scratch, all epochs in one compiled program.

    Jia et al. (2023), "Learning from training dynamics", section 3.2, step 2, equation 3.

    Args:
        key: a typed key; the same key and arrays give the same detector.
        sequences: (n, t, s) floats from :func:`jaxnoisy.dynamics.inputs.sequences`, or from ``pooled`` for several
            traces, with the signals of ``config``; t >= 2.
        flips: (n,) bool or 0/1, True where the label was wrong while the dynamics were taken, such as
            ``jaxnoisy.dynamics.flips`` gives after noise was added on purpose.
        config: by default ``LSTMConfig()``; ``lstm_config.PAPER`` for the paper's.
        about: what the data were, for the card.

    Returns:
        :class:`~jaxnoisy.detect.lstm_detector.LSTMDetector`. Its ``info`` tells how training went.

    Raises:
        TypeError: not a typed key, or sequences that are not floating point.
        ValueError: shapes that do not fit, values that are not finite, fewer than two examples of either kind (one to
            learn from and one to choose the epoch), sequences of one epoch, or a training that diverged at once.

    Example:
        >>> import jax, numpy as np
        >>> rng, flips = np.random.default_rng(0), np.arange(40) % 4 == 0
        >>> values = np.where(flips[:, None], 0.1, 0.9) + rng.normal(0, 0.05, (40, 6))
        >>> config = LSTMConfig(hidden=4, layers=1, batch_size=8)
        >>> detector = train_detector(jax.random.key(0), values[..., None], flips, config)
        >>> detector.epochs, detector.signals
        (6, ('probability',))
    """
    check.typed_key(key)
    config = config or LSTMConfig()
    of_weights, of_fit = jax.random.split(key)
    weights = _init(of_weights, signals=len(config.signals), hidden=config.hidden, layers=config.layers)
    return _trained(of_fit, weights, sequences, flips, config, {"about": about})


def fine_tune(
    key: Key,
    detector: LSTMDetector,
    trace: Trace | Sequence[Trace],
    flips: ArrayLike,
    config: LSTMConfig = FINE_TUNING,
    *,
    about: str = "",
) -> LSTMDetector:
    """Train a detector further on the trace of a data set of one's own, to which noise was added on purpose.

    Jia et al. (2023), section 3.3 and appendix B.1. The detector as it was is kept where no epoch improves on it over
    the examples held out.

    Args:
        key: a typed key.
        detector: to start from; not changed.
        trace: recorded under labels that were corrupted once more; of any length. Or several of them.
        flips: (n,) bool or 0/1, where this added noise changed the label; of several traces one after the other. What
            was wrong before may stay unknown.
        config: the paper's fine-tuning is ``lstm_config.PAPER_FINE_TUNING``. Its ``signals``, ``hidden`` and ``layers``
            give way to the detector's.
        about: what the data were, for the card, which keeps the former card under "before".

    Returns:
        Another :class:`~jaxnoisy.detect.lstm_detector.LSTMDetector` with the same signals and length.

    Raises:
        TypeError, ValueError: as :func:`train_detector`; a trace of one epoch.
    """
    check.typed_key(key)
    hidden = detector.weights.layers[0].recurrent.shape[0]
    layers = len(detector.weights.layers)
    config = dataclasses.replace(config, signals=detector.signals, hidden=hidden, layers=layers)
    traces = [trace] if isinstance(trace, Trace) else trace
    values = pooled(traces, signals=detector.signals, epochs=detector.epochs)
    return _trained(key, detector.weights, values, flips, config, {"about": about, "before": dict(detector.card)})


def _trained(
    key: Key,
    weights: LSTMWeights,
    sequences: ArrayLike,
    flips: ArrayLike,
    config: LSTMConfig,
    card: dict[str, Any],
) -> LSTMDetector:
    values, wrong = _checked(sequences, flips, config)
    of_split, of_fit = jax.random.split(key)
    split = hold_out(of_split, wrong, config.validation)
    rate, shape = np.float32(config.learning_rate), dataclasses.replace(config, learning_rate=1.0)
    weights, info = _fit(of_fit, weights, values, wrong, split, rate, config=shape)
    info = jax.tree.map(np.asarray, info)._replace(best=int(info.best))
    if not np.isfinite(info.validation_loss[1:]).any():
        raise ValueError(
            f"training diverged in its first epoch at learning_rate={config.learning_rate}: take a lower one"
        )
    card = {
        **card,
        "examples": len(wrong),
        "mislabeled": int(wrong.sum()),
        "config": dataclasses.asdict(config),
        "best epoch": info.best,
        "validation loss": float(info.validation_loss[info.best]),
        "validation auc": float(info.validation_auc[info.best]),
        "jaxnoisy": jaxnoisy.__version__,
    }
    return LSTMDetector(weights, config.signals, values.shape[1], files.plain(card), info)


def _checked(sequences: ArrayLike, flips: ArrayLike, config: LSTMConfig) -> tuple[np.ndarray, np.ndarray]:
    values, wrong = np.asarray(sequences), np.asarray(flips)
    if values.dtype.kind != "f":
        raise TypeError(f"sequences must be floating point, but have dtype {values.dtype}")
    if values.ndim != 3 or values.shape[2] != len(config.signals):
        raise ValueError(
            f"sequences must have shape (n, t, {len(config.signals)}) for the signals {', '.join(config.signals)}, but "
            f"have {values.shape}: read traces with jaxnoisy.dynamics.inputs.sequences"
        )
    if values.shape[1] < 2:
        raise ValueError(
            f"a detector of dynamics needs sequences of at least 2 epochs, but these have {values.shape[1]}"
        )
    check.finite(values, name="sequences")
    if wrong.shape != (len(values),):
        raise ValueError(f"flips must have shape ({len(values)},), one entry per sequence, but have {wrong.shape}")
    if wrong.dtype != bool and not (np.issubdtype(wrong.dtype, np.integer) and np.isin(wrong, (0, 1)).all()):
        raise ValueError(f"flips must be bool, or 0 and 1, but have dtype {wrong.dtype} and other values")
    wrong = wrong.astype(bool)
    for count, kind in ((int(wrong.sum()), "mislabeled"), (int((~wrong).sum()), "rightly labeled")):
        if count < 2:
            raise ValueError(
                f"training needs at least 2 {kind} examples, but flips mark {count} of {len(wrong)}: "
                "add noise to known labels with jaxnoisy.noise and record a run under them"
            )
    return values.astype(np.float32), wrong
