"""Equations 3 to 9 of DynaCor in NumPy and float64, written from the paper, example by example."""

import numpy as np


def distance(a, b):
    return 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def q_noisy(z, noisy, clean):
    """Equation 3."""
    to_noisy = np.array([1 / (1 + distance(row, noisy)) for row in z])
    to_clean = np.array([1 / (1 + distance(row, clean)) for row in z])
    return to_noisy / (to_noisy + to_clean)


def p_noisy(q):
    """Equation 5."""
    noisy, clean = q**2 / q.sum(), (1 - q) ** 2 / (1 - q).sum()
    return noisy / (noisy + clean)


def cluster_loss(q, p=None):
    """Equation 6, as a mean; ``p`` is the target, that of these q by default."""
    p = p_noisy(q) if p is None else p
    total = 0.0
    for a, b in ((p, q), (1 - p, 1 - q)):
        total += (a * np.log(a / b)).sum()
    return total / len(q)


def align_loss(z, q, corrupted):
    """Equation 7, without the terms of empty groups."""
    terms = []
    for side in (q > 1 - q, q <= 1 - q):
        originals, copies = z[side & ~corrupted], z[side & corrupted]
        terms.append(distance(originals.mean(0), copies.mean(0)) if len(originals) and len(copies) else 0.0)
    return sum(terms) / 2


def metric(q, corrupted):
    """Equation 9; 0 where a group is empty."""
    found, kept = q[corrupted & (q > 0.5)], q[~corrupted & (q <= 0.5)]
    return (found.mean() - kept.mean()) ** 2 if len(found) and len(kept) else 0.0


def represent(encoder, values):
    """Three convolutions with zeros beyond the ends, rectified, all steps side by side, and a linear map."""
    x = np.asarray(values, np.float64)[..., None]
    for layer in encoder.layers:
        kernel, bias = (np.asarray(a, np.float64) for a in layer)
        n, t, _ = x.shape
        out = np.zeros((n, t, kernel.shape[2])) + bias
        for step in range(t):
            for k in range(3):
                if 0 <= step + k - 1 < t:
                    out[:, step] += x[:, step + k - 1] @ kernel[k]
        x = np.maximum(out, 0)
    return x.reshape(len(x), -1) @ np.asarray(encoder.kernel, np.float64) + np.asarray(encoder.bias, np.float64)
