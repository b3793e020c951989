"""Detectors: constructors of functions that read a trace and rank and flag its examples."""

from jaxnoisy.detect import rules
from jaxnoisy.detect.agreed import AgreedInfo, agreed
from jaxnoisy.detect.aum import AumThresholdInfo, aum, aum_threshold, threshold_examples, threshold_labels
from jaxnoisy.detect.bhn import BhnInfo, bhn
from jaxnoisy.detect.confident import ConfidentInfo, confident_learning
from jaxnoisy.detect.confident_joint import class_thresholds, estimated_joint, estimated_noise_rate
from jaxnoisy.detect.cores import LogitDetector, cores
from jaxnoisy.detect.data_map import confidence, variability
from jaxnoisy.detect.detection import Detection, Detector, ranking
from jaxnoisy.detect.dynacor import DynaCorInfo, DynamicsDetector, dynacor
from jaxnoisy.detect.dynacor_config import DynaCorConfig
from jaxnoisy.detect.el2n import el2n
from jaxnoisy.detect.forgetting import forgetting
from jaxnoisy.detect.influential_rank import InfluentialRankInfo, influential_rank
from jaxnoisy.detect.label_quality import label_quality
from jaxnoisy.detect.lstm import lstm
from jaxnoisy.detect.lstm_config import LSTMConfig
from jaxnoisy.detect.lstm_detector import LSTMDetector
from jaxnoisy.detect.lstm_file import load_detector, save_detector
from jaxnoisy.detect.lstm_fit import LSTMInfo
from jaxnoisy.detect.lstm_importance import epoch_importance
from jaxnoisy.detect.lstm_training import fine_tune, train_detector
from jaxnoisy.detect.lsw import LearnedWeightsInfo, learned_weights
from jaxnoisy.detect.margin_mixture import margin_mixture
from jaxnoisy.detect.methods import MIN_EPOCHS, NEEDS_PROBABILITIES, TRACE_METHODS, methods_for
from jaxnoisy.detect.nlnl import nlnl
from jaxnoisy.detect.prune import PRUNE_RULES, label_issues
from jaxnoisy.detect.shipped import shipped_detector
from jaxnoisy.detect.simifeat import FeatureDetector, SimiFeatInfo, simifeat_rank, simifeat_vote
from jaxnoisy.detect.small_loss import small_loss

__all__ = [
    "MIN_EPOCHS",
    "NEEDS_PROBABILITIES",
    "PRUNE_RULES",
    "TRACE_METHODS",
    "AgreedInfo",
    "AumThresholdInfo",
    "BhnInfo",
    "ConfidentInfo",
    "Detection",
    "Detector",
    "DynaCorConfig",
    "DynaCorInfo",
    "DynamicsDetector",
    "FeatureDetector",
    "InfluentialRankInfo",
    "LSTMConfig",
    "LSTMDetector",
    "LSTMInfo",
    "LearnedWeightsInfo",
    "LogitDetector",
    "SimiFeatInfo",
    "agreed",
    "aum",
    "aum_threshold",
    "bhn",
    "class_thresholds",
    "confidence",
    "confident_learning",
    "cores",
    "dynacor",
    "el2n",
    "epoch_importance",
    "estimated_joint",
    "estimated_noise_rate",
    "fine_tune",
    "forgetting",
    "influential_rank",
    "label_issues",
    "label_quality",
    "learned_weights",
    "load_detector",
    "lstm",
    "margin_mixture",
    "methods_for",
    "nlnl",
    "ranking",
    "rules",
    "save_detector",
    "shipped_detector",
    "simifeat_rank",
    "simifeat_vote",
    "small_loss",
    "threshold_examples",
    "threshold_labels",
    "train_detector",
    "variability",
]
