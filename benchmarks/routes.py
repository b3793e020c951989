"""Two ways to find wrong labels with one model and recipe: the library's audit, and cleanlab on held-out folds."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from cleanlab.count import num_label_issues
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from jaxnoisy.audit import audit
from jaxnoisy.data import Dataset
from jaxnoisy.metrics import detection_metrics
from jaxnoisy.models import build
from jaxnoisy.training import fit, predict
from jaxnoisy.training.recipes import recipe

FOLDS = 5

HeldOut = Callable[[np.ndarray], tuple[np.ndarray, float]]
"""(n,) bool, examples to learn from -> (n, c) class probabilities of all examples, and seconds spent compiling."""


def audit_route(data: Dataset, *, model: str, epochs: int | None, seed: int, methods: Sequence[str]) -> dict[str, Any]:
    """Every method on one trace. ``noise_rate`` is the library's own estimate."""
    started = time.perf_counter()
    config = recipe(model, data, seed=seed, epochs=epochs)
    found = audit(data, methods=methods, model=model, config=config, seed=seed)
    return {
        "metrics": {name: m._asdict() for name, m in found.metrics().items()},
        "noise_rate": found.noise_rate,
        "true_noise_rate": _true_rate(data),
        "seconds": time.perf_counter() - started,
        "timings": dict(found.timings),
    }


def cleanlab_route(data: Dataset, held_out: HeldOut, *, seed: int) -> dict[str, Any]:
    """Run cleanlab with its defaults on 5-fold out-of-sample probabilities."""
    started = time.perf_counter()
    probs = np.zeros((len(data), data.num_classes))
    compiling = 0.0
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for learned, left_out in folds.split(probs, data.labels):
        keep = np.zeros(len(data), bool)
        keep[learned] = True
        predicted, seconds = held_out(keep)
        probs[left_out] = predicted[left_out]
        compiling += seconds
    probabilities = time.perf_counter() - started
    # One job: the default forks, which a process with JAX's threads must not do. The answer is the same.
    flagged = find_label_issues(data.labels, probs, n_jobs=1)
    scores = -get_label_quality_scores(data.labels, probs)
    flips = data.flips
    assert flips is not None
    return {
        "metrics": {"cleanlab": detection_metrics(scores, flagged, flips)._asdict()},
        "noise_rate": num_label_issues(data.labels, probs) / len(data),
        "true_noise_rate": _true_rate(data),
        "seconds": time.perf_counter() - started,
        "timings": {"out-of-sample probabilities": probabilities, "compile": compiling},
    }


def same_model(data: Dataset, *, model: str, epochs: int | None, seed: int) -> HeldOut:
    """The library's model under the recipe that :func:`audit_route` uses, with nothing recorded."""
    config = recipe(model, data, seed=seed, epochs=epochs, record="none")

    def held_out(keep: np.ndarray) -> tuple[np.ndarray, float]:
        key = jax.random.fold_in(jax.random.key(seed), 1)
        network = build(model, input_shape=data.inputs.shape[1:], num_classes=data.num_classes, key=key)
        done = fit(network, data, config, keep=keep)
        logits = predict(done.network, done.state.params, done.state.rest, done.scale, data.inputs)
        return softmax(logits.astype(np.float64), axis=1), done.compile_seconds

    return held_out


def logistic_regression(data: Dataset) -> HeldOut:
    """scikit-learn's logistic regression on standardised features, as cleanlab's own tutorials run it."""

    def held_out(keep: np.ndarray) -> tuple[np.ndarray, float]:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        # So small a problem is fastest on one thread, and many times slower on two that the host has to share.
        with threadpool_limits(1):
            model.fit(data.inputs[keep], data.labels[keep])
        probs = np.zeros((len(data), data.num_classes))
        probs[:, model.classes_] = model.predict_proba(data.inputs)
        return probs, 0.0

    return held_out


def _true_rate(data: Dataset) -> float:
    assert data.flips is not None
    return float(data.flips.mean())
