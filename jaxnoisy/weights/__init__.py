"""Learned sample weights: gradients of a clean loss one step ahead, and rules that learn from them."""

from jaxnoisy.weights.l2rw import L2RWState, l2rw
from jaxnoisy.weights.learner import CLEAN_BATCH, Learned, Learner, draw_clean, due
from jaxnoisy.weights.lookahead import WAYS, Ahead, lookahead
from jaxnoisy.weights.lsw import RATE, THRESHOLD, LSWState, lsw
from jaxnoisy.weights.mwnet import MWNetState, mwnet
from jaxnoisy.weights.skips import MOST_IN_A_ROW, Skips, refuse_many_skips
from jaxnoisy.weights.step import Stepped, weighted_step

__all__ = [
    "CLEAN_BATCH",
    "MOST_IN_A_ROW",
    "RATE",
    "THRESHOLD",
    "WAYS",
    "Ahead",
    "L2RWState",
    "LSWState",
    "Learned",
    "Learner",
    "MWNetState",
    "Skips",
    "Stepped",
    "draw_clean",
    "due",
    "l2rw",
    "lookahead",
    "lsw",
    "mwnet",
    "refuse_many_skips",
    "weighted_step",
]
