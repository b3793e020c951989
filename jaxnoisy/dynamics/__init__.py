"""Training dynamics: recording them on the device or on the host, and the signals they hold."""

from jaxnoisy.dynamics import inputs, recorder, signals
from jaxnoisy.dynamics.host import HostRecorder
from jaxnoisy.dynamics.observation import Observation, observe
from jaxnoisy.dynamics.recorder import RecorderState
from jaxnoisy.dynamics.trace import Trace, flips, from_probabilities, load, same_labels

__all__ = [
    "HostRecorder",
    "Observation",
    "RecorderState",
    "Trace",
    "flips",
    "from_probabilities",
    "inputs",
    "load",
    "observe",
    "recorder",
    "same_labels",
    "signals",
]
