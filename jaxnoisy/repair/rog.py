"""Robust generative classifier (RoG): Gaussians on the features of several layers, fitted to the bulk of each class."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.repair.discriminant import Discriminant, fit_discriminant
from jaxnoisy.stats.simplex import mixing_weights
from jaxnoisy.types import Array, ArrayLike

PRIORS = ("given", "uniform")
"""Class priors: the shares of the given labels, or equal ones."""


class RoG(NamedTuple):
    """One discriminant per layer and their weights: a pytree, whose methods are pure functions to jit.

    Attributes:
        layers: :class:`Discriminant` of each layer.
        weights: (layers,) float32, nonnegative, summing to 1.
    """

    layers: tuple[Discriminant, ...]
    weights: Array

    def probabilities(self, features: Sequence[ArrayLike]) -> Array:
        """Return ``sum_l weights[l] P(class | features[l])``, float32 of shape (n, c).

        Args:
            features: one array (n, d_l) per layer, as for fitting.

        Cost: n d_l c multiplications per layer.

        Raises:
            ValueError: another number of layers, or another width, than it was fitted to.
        """
        posteriors = (jnp.exp(log_p) for log_p in self.log_posteriors(features))
        return sum((w * p for w, p in zip(self.weights, posteriors)), jnp.zeros(()))

    def predict(self, features: Sequence[ArrayLike]) -> Array:
        """Return the most probable class of each example, int32 of shape (n,); see :meth:`probabilities`."""
        return self.probabilities(features).argmax(axis=1).astype(jnp.int32)

    def log_posteriors(self, features: Sequence[ArrayLike]) -> tuple[Array, ...]:
        """Return each layer's log P(class | its features), float32 of shape (n, c); -inf for a class without examples.

        Raises:
            ValueError: see :meth:`probabilities`.
        """
        _same_layers(features, [layer.kernel.shape[0] for layer in self.layers], name="features")
        return tuple(
            jax.nn.log_softmax(layer.scores(jnp.asarray(x))) for layer, x in zip(self.layers, features, strict=True)
        )


class RoGInfo(NamedTuple):
    """What a fit came to; one entry per layer unless said otherwise.

    Attributes:
        weights: (layers,) float64 of the ensemble.
        gap: how much lower the ensemble's validation NLL could be under other weights at most, in nats.
        accuracies: (layers,) share of the validation examples that each layer alone classifies as labelled.
        nlls: (layers,) mean negative log-likelihood of the validation labels, in nats, of those that the training
            examples have a class for.
        accuracy: of the ensemble.
        nll: of the ensemble.
        supports: (layers, n) bool, the examples that the means and the covariance were taken over.
        class_shrinkages: (layers, c) the share of the identity under which distances within a class were measured; 0
            where its covariance has an inverse.
        shrinkages: (layers,) the same for the tied covariance.
    """

    weights: np.ndarray
    gap: float
    accuracies: np.ndarray
    nlls: np.ndarray
    accuracy: float
    nll: float
    supports: np.ndarray
    class_shrinkages: np.ndarray
    shrinkages: np.ndarray


def rog(
    *, support: float | None = 0.7, prior: str = "given", num_classes: int | None = None
) -> Callable[[Sequence[ArrayLike], ArrayLike, Sequence[ArrayLike], ArrayLike], tuple[RoG, RoGInfo]]:
    """Return ``fit(features, labels, validation_features, validation_labels) -> (RoG, RoGInfo)``.

    A network trained on wrong labels often has features that still part the true classes, and only its head has
    learned the wrong labels. In the place of the head, each layer gets Gaussians: a mean per class and one covariance
    for all, each class giving the mean and the covariance of those of its examples that
    :func:`jaxnoisy.stats.mcd` keeps, weighted by their number. Posteriors of the layers are averaged with nonnegative
    weights of sum 1 that minimise the negative log-likelihood of the validation labels, a convex problem.

    Readings taken. The prior of a class is its share of the given labels, as in the paper; "uniform" suits labels
    whose shares the noise has changed. The paper keeps floor((n + d + 1) / 2) of n examples of d features
    (``support=None``); 70 % is usual in experiments after it. Covariances of the kept are not scaled up for
    consistency, so that posteriors are a little sharper than for all clean examples. Weights lie on the simplex, so
    that the result is a distribution.

    Singular cases are finite. A covariance without inverse, within a class or tied, is shrunk towards the features'
    own variances by oracle approximating shrinkage, and the info says by how much; others are left as they are. A
    feature that is constant everywhere is ignored. One that is constant within each class, and not between them, is
    measured in units of its deviation over all examples. A class of one example has it for its mean and adds nothing
    to the covariance. A class without examples has probability 0, and validation examples of it are left out of
    fitting the weights; validation data without examples of some class is fine.

    Args:
        support: the share of each class that is kept, in [0.5, 1], or None for the paper's; see :func:`mcd`, also for
            what it cannot do: many dimensions hide outliers from it.
        prior: "given" or "uniform", over the classes that have examples.
        num_classes: c; by default one more than the largest label of both sets.

    ``fit`` takes features as a sequence of (n, d_l) arrays of finite floats, one per layer, such as
    ``model.stages(x)`` of :class:`jaxnoisy.models.Classifier`, and integer labels (n,); validation data likewise, (m,
    d_l) and (m,). It runs on the host in float64, one class of one layer at a time; what it returns computes in
    float32 on the device.

    Cost: that of :func:`mcd` for each class of each layer, about 70 n d_l^2 operations per layer in all. For 50,000
    examples, d_l = 512 is a minute or two of a CPU core, and d_l = 64 a few seconds.

    Raises:
        ValueError: an option out of range, features that do not fit the labels or each other, no layers, empty data.
        TypeError: labels that are not integers.

    Source: Lee, Yun, Lee, Lee, Li and Shin, "Robust inference via generative classifiers for handling noisy labels",
    ICML 2019, section 3.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(300) % 3
        >>> x = rng.normal(size=(300, 2)) + 6 * np.array([[0, 0], [1, 0], [0, 1]])[y]
        >>> noisy = np.where(rng.random(300) < 0.2, (y + 1) % 3, y)
        >>> model, info = rog()([x, rng.normal(size=(300, 4))], noisy, [x[:60], rng.normal(size=(60, 4))], y[:60])
        >>> bool(np.mean(model.predict([x, np.zeros((300, 4))]) == y) > 0.99), info.weights.round(1)
        (True, array([1., 0.]))
    """
    if support is not None:
        check.fraction(support, name="support", low=0.5)
    check.one_of(prior, PRIORS, name="prior")
    if num_classes is not None:
        check.positive_int(num_classes, name="num_classes", minimum=2)

    def fit(
        features: Sequence[ArrayLike],
        labels: ArrayLike,
        validation_features: Sequence[ArrayLike],
        validation_labels: ArrayLike,
    ) -> tuple[RoG, RoGInfo]:
        y = check.labels(labels, num_classes=num_classes)
        truth = check.labels(validation_labels, num_classes=num_classes, name="validation_labels")
        c = num_classes or 1 + max(int(y.max()), int(truth.max()))
        layers = _checked(features, n=len(y), name="features")
        held = _checked(validation_features, n=len(truth), name="validation_features")
        _same_layers(held, [x.shape[1] for x in layers], name="validation_features")

        counts = np.bincount(y, minlength=c)
        shares = counts / len(y) if prior == "given" else (counts > 0) / np.count_nonzero(counts)
        fits = [fit_discriminant(x, y, shares, support=support) for x in layers]
        discriminants = tuple(found.discriminant for found in fits)
        even = RoG(discriminants, jnp.full(len(fits), 1 / len(fits), jnp.float32))
        log_p = np.stack([np.asarray(p, np.float64) for p in even.log_posteriors(held)], axis=1)  # (m, layers, c)
        known = np.flatnonzero(counts[truth] > 0)
        observed = log_p[known, :, truth[known]]
        weights, gap, nll = np.full(len(fits), 1 / len(fits)), 0.0, np.nan
        if len(known):
            weights, gap, _ = mixing_weights(observed)
            nll = float(-np.mean(_log_mixture(observed, weights)))
        mixed = np.exp(log_p).transpose(0, 2, 1) @ weights
        info = RoGInfo(
            weights=weights,
            gap=gap,
            accuracies=(log_p.argmax(axis=2) == truth[:, None]).mean(axis=0),
            nlls=-observed.mean(axis=0) if len(known) else np.full(len(fits), np.nan),
            accuracy=float(np.mean(mixed.argmax(axis=1) == truth)),
            nll=nll,
            supports=np.stack([found.support for found in fits]),
            class_shrinkages=np.stack([found.class_shrinkages for found in fits]),
            shrinkages=np.array([found.shrinkage for found in fits]),
        )
        return RoG(discriminants, jnp.asarray(weights, jnp.float32)), info

    return fit


def _log_mixture(log_p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    highest = log_p.max(axis=1)
    return highest + np.log(np.exp(log_p - highest[:, None]) @ weights)


def _checked(features: Sequence[ArrayLike], *, n: int, name: str) -> list[np.ndarray]:
    if hasattr(features, "ndim"):
        raise TypeError(f"{name} must be a sequence of arrays (n, d), one per layer, but is one array: give [features]")
    layers = [check.values(x) for x in features]
    if not layers:
        raise ValueError(f"{name} is empty: at least one layer is needed")
    for i, x in enumerate(layers):
        if x.ndim != 2 or len(x) != n or x.shape[1] == 0:
            raise ValueError(f"{name}[{i}] must have shape ({n}, d), one row per label, but has shape {x.shape}")
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(f"{name}[{i}] must be floating point, but has dtype {x.dtype}")
        check.finite(x, name=f"{name}[{i}]")
    return layers


def _same_layers(features: Sequence[ArrayLike], widths: Sequence[int], *, name: str) -> None:
    given = [x.shape[1] if x.ndim == 2 else x.shape for x in features]
    if given != list(widths):
        raise ValueError(f"{name} must have layers of widths {list(widths)}, but has {given}: give the same layers")
