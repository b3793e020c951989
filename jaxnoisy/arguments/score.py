"""Options of ``jaxnoisy score``."""

from jaxnoisy.arguments import texts, values
from jaxnoisy.arguments.lines import Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    score = command(
        commands,
        "score",
        "run detectors on arrays that any framework wrote",
        "jaxnoisy score --method confident-learning --pred-probs probs.npy --labels labels.npy --out scored",
        texts.METHODS_OF_ARRAYS,
    )
    score.add_argument(
        "--method",
        default="",
        metavar="a,b|all",
        help="methods, see below; issues.csv follows the first (default: all that the arrays allow)",
    )
    score.add_argument("--detector", metavar="FILE", help=texts.DETECTOR)
    score.add_argument("--trace", metavar="FILE", help="a trace (.npz) or the folder of a spilled one")
    score.add_argument("--pred-probs", metavar="FILE", help="class probabilities (n, c): .npy, or .npz with pred_probs")
    score.add_argument("--labels", metavar="FILE", help="given labels (n,): .npy, or .npz with labels")
    score.add_argument("--clean-labels", metavar="FILE", help="true labels, where known, to measure the detectors")
    score.add_argument("--out", required=True, type=values.path, metavar="DIR", help="folder for the results")
