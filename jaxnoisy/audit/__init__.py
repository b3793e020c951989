"""The main job: train a model on a labelled data set, record its dynamics, and let the detectors read them."""

from jaxnoisy.audit.beyond import Beyond
from jaxnoisy.audit.bhn import Bhn
from jaxnoisy.audit.cores import Cores
from jaxnoisy.audit.dynacor import DynaCor
from jaxnoisy.audit.influential_rank import InfluentialRank
from jaxnoisy.audit.methods import BEYOND, METHODS, allowed
from jaxnoisy.audit.nlnl import Nlnl
from jaxnoisy.audit.run import Progress, audit
from jaxnoisy.audit.simifeat import SimiFeatRank, SimiFeatVote
from jaxnoisy.audit.threshold import AumThreshold

__all__ = [
    "BEYOND",
    "METHODS",
    "AumThreshold",
    "Beyond",
    "Bhn",
    "Cores",
    "DynaCor",
    "InfluentialRank",
    "Nlnl",
    "Progress",
    "SimiFeatRank",
    "SimiFeatVote",
    "allowed",
    "audit",
]
