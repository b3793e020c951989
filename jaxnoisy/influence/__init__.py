"""Influence of training examples on losses, predictions and parameters, by inverse curvature."""

from jaxnoisy.influence import head, head_frames
from jaxnoisy.influence.frames_overfitting import frames_overfitting
from jaxnoisy.influence.gradients import gradients, scalar_gradients
from jaxnoisy.influence.overfitting import OverfittingInfo, head_overfitting, overfitting
from jaxnoisy.influence.overfitting_scores import OverfittingScores, overfitting_scores
from jaxnoisy.influence.pairwise import pairwise
from jaxnoisy.influence.per_class import PerClass, per_class
from jaxnoisy.influence.rows import Rows, from_matrix, matrix, relative
from jaxnoisy.influence.self_influence import SelfInfluence, parameter_influence, self_influence
from jaxnoisy.influence.to_npy import to_npy
from jaxnoisy.influence.top import Top, top

__all__ = [
    "OverfittingInfo",
    "OverfittingScores",
    "PerClass",
    "Rows",
    "SelfInfluence",
    "Top",
    "frames_overfitting",
    "from_matrix",
    "gradients",
    "head",
    "head_frames",
    "head_overfitting",
    "matrix",
    "overfitting",
    "overfitting_scores",
    "pairwise",
    "parameter_influence",
    "per_class",
    "relative",
    "scalar_gradients",
    "self_influence",
    "to_npy",
    "top",
]
