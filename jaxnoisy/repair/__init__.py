"""Repair: drop suspicious examples, train on, and give what was dropped new labels."""

from jaxnoisy.repair.drop import Drop, drop
from jaxnoisy.repair.posttrain import PostTrainState, RoundInfo, begin, post_train
from jaxnoisy.repair.relabel import Relabelled, relabel
from jaxnoisy.repair.rog import RoG, RoGInfo, rog
from jaxnoisy.repair.suspects import suspects

__all__ = [
    "Drop",
    "PostTrainState",
    "Relabelled",
    "RoG",
    "RoGInfo",
    "RoundInfo",
    "begin",
    "drop",
    "post_train",
    "relabel",
    "rog",
    "suspects",
]
