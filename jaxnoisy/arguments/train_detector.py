"""Options of ``jaxnoisy train-detector``."""

from jaxnoisy.arguments import values
from jaxnoisy.arguments.lines import Commands, command

_TRACES = """traces:
  DIR     results of jaxnoisy detect: where the data came with clean_labels, they
          hold which labels were wrong
  FILE    a trace alone, or the folder of a spilled one, with --clean-labels"""

_SIGNALS = """signals:
  probability, loss, margin, probability-margin, quantised-margin, error-norm,
  mean-margin (up to the epoch), progress (mean probability over all examples)"""


def add(commands: Commands) -> None:
    """Add the command."""
    train = command(
        commands,
        "train-detector",
        "let a detector learn from runs whose wrong labels are known",
        "jaxnoisy train-detector --trace symmetric-run asymmetric-run --out detector.npz",
        _TRACES,
        _SIGNALS,
    )
    train.add_argument("--trace", required=True, nargs="+", metavar="DIR|FILE", help="runs to learn from, see traces")
    train.add_argument(
        "--clean-labels",
        nargs="+",
        metavar="FILE",
        help="for each trace, in order, the labels before noise was added: .npy, or .npz with clean_labels",
    )
    train.add_argument(
        "--from",
        dest="start",
        metavar="FILE|shipped",
        help="fine-tune this detector, or the one that is shipped, in the place of a new one",
    )
    train.add_argument(
        "--signals", metavar="a,b", help="what a new one reads of each epoch, see signals (default: probability)"
    )
    train.add_argument(
        "--length", type=values.whole(2), metavar="T", help="epochs that a new one reads (default: the longest trace's)"
    )
    train.add_argument("--epochs", type=values.count, metavar="E", help="passes over the traces (default 10)")
    train.add_argument("--batch-size", type=values.count, metavar="B", help="examples per step (default 64)")
    train.add_argument(
        "--learning-rate", type=values.positive, metavar="LR", help="at the start (default 0.003; with --from 0.001)"
    )
    train.add_argument("--seed", type=values.seed, metavar="S", default=0, help="of everything random (default 0)")
    train.add_argument("--about", metavar="TEXT", default="", help="what the runs were, for the detector's card")
    train.add_argument("--card", metavar="FILE", help="a JSON object of what else the card is to say")
    train.add_argument("--out", required=True, type=values.path, metavar="FILE", help="the detector, an .npz")
