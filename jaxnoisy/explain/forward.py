"""Where the outputs of a trained network used to be computed."""

from jaxnoisy.training.outputs import outputs as outputs
from jaxnoisy.training.outputs import predictions as predictions
