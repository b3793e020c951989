"""Repair in one pass: remove or relabel what a detector suspects, and train on what that leaves."""

from jaxnoisy.retrain.first import first_run
from jaxnoisy.retrain.retrain import METHODS, retrain
from jaxnoisy.retrain.scaling import scaled

__all__ = ["METHODS", "first_run", "retrain", "scaled"]
