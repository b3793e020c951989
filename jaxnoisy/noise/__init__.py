"""Label noise generators: functions ``corrupt(key, labels, inputs=None)`` that return noisy labels and their mask.

Class-conditional kinds come with the matrix of their exact rates, so that an estimate can be held against the truth.
"""

from jaxnoisy.noise.asymmetric import asymmetric, asymmetric_matrix
from jaxnoisy.noise.copies import CopyCorrupt, CorruptedCopies, corrupted_copies
from jaxnoisy.noise.instance import FEATURES, flip_probabilities, flip_rates, instance
from jaxnoisy.noise.kinds import KINDS, by_kind
from jaxnoisy.noise.result import Corrupt, NoisyLabels, TwiceNoisyLabels
from jaxnoisy.noise.superclass import superclass, superclass_matrix
from jaxnoisy.noise.symmetric import symmetric, symmetric_matrix
from jaxnoisy.noise.transition import row_stochastic, transition
from jaxnoisy.noise.twice import twice

__all__ = [
    "FEATURES",
    "KINDS",
    "CopyCorrupt",
    "Corrupt",
    "CorruptedCopies",
    "NoisyLabels",
    "TwiceNoisyLabels",
    "asymmetric",
    "asymmetric_matrix",
    "by_kind",
    "corrupted_copies",
    "flip_probabilities",
    "flip_rates",
    "instance",
    "row_stochastic",
    "superclass",
    "superclass_matrix",
    "symmetric",
    "symmetric_matrix",
    "transition",
    "twice",
]
