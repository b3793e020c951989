"""Losses that learn from wrong labels without learning them by heart."""

from jaxnoisy.robust.negative import negative_learning, selective_negative, selective_positive

__all__ = ["negative_learning", "selective_negative", "selective_positive"]
