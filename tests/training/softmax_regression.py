"""Training written out by hand: softmax regression in float64 NumPy, with PyTorch's and optax's update formulas.

It shares nothing with the library but the order of the batches.
"""

import math

import numpy as np
from scipy.special import log_softmax, softmax

from jaxnoisy.training.step import batch_rows, epoch_key


def rate(config, step: int, steps_per_epoch: int) -> float:
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / (config.epochs * steps_per_epoch)))
    epoch = step // steps_per_epoch
    return config.learning_rate * config.step_factor ** sum(epoch >= e for e in config.step_epochs)


def train(data, kernel, bias, config, *, weights=None, kept=None, batch_size=None):
    """Return ``(kernel, bias, losses)``, the losses (n, t) being those of the training steps, NaN where unseen."""
    x = data.inputs.astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    n, c = len(data), data.num_classes
    onehot = np.eye(c)[data.labels]
    weights = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    kept = np.arange(n) if kept is None else kept
    size = config.batch_size if batch_size is None else batch_size
    theta = [np.asarray(kernel, np.float64), np.asarray(bias, np.float64)]
    first, second = [np.zeros_like(p) for p in theta], [np.zeros_like(p) for p in theta]
    losses, step = np.full((n, config.epochs), np.nan), 0
    for epoch in range(config.epochs):
        batches = np.asarray(batch_rows(epoch_key(config.seed, epoch)[0], kept, size, n)[1])
        for rows in batches:
            rows = rows[rows < n]  # no padding here: the last batch is short
            z = x[rows] @ theta[0] + theta[1]
            losses[rows, epoch] = -log_softmax(z, axis=1)[np.arange(len(rows)), data.labels[rows]]
            error = (softmax(z, axis=1) - onehot[rows]) * (weights[rows] / weights[rows].sum())[:, None]
            gradient = [x[rows].T @ error, error.sum(axis=0)]
            lr = rate(config, step, len(batches))
            step += 1
            for k, g in enumerate(gradient):
                update = sgd if config.optimizer == "sgd" else adamw
                theta[k], first[k], second[k] = update(config, lr, step, theta[k], g, first[k], second[k])
    return theta[0], theta[1], losses


def sgd(config, lr, step, p, g, v, _):
    """torch.optim.SGD: g += wd p; v = mu v + g; g = g + mu v if nesterov, else v; p -= lr g."""
    g = g + config.weight_decay * p
    v = config.momentum * v + g
    return p - lr * (g + config.momentum * v if config.nesterov else v), v, _


def adamw(config, lr, step, p, g, m, v):
    """Decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), with both moments corrected for bias."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    direction = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return p - lr * (direction + config.weight_decay * p), m, v
