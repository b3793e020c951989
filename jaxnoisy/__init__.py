"""Find, weigh and repair mislabeled training examples, in JAX."""

__version__ = "0.1.0"
