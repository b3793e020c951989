"""Options of ``jaxnoisy repair``."""

from jaxnoisy.arguments import texts, values
from jaxnoisy.arguments.lines import Commands, command

_METHODS = """methods:
  influential-rank: rounds of training on, without what bends the last layer far
                    and moves the clean examples unevenly; needs --clean
  small-loss: the loss in the place of both, to compare with; needs --clean
  remove: train once more without what a detector suspects
  relabel: with the labels that a model trained without it gives to it"""


def add(commands: Commands) -> None:
    """Add the command."""
    repair = command(
        commands,
        "repair",
        "drop or relabel suspicious examples, and train anew",
        "jaxnoisy repair --data folder:photos --clean folder:checked --model photos-audit --out photos-repaired",
        texts.DATA,
        texts.CLEAN,
        _METHODS,
        texts.MODELS,
    )
    repair.add_argument("--data", required=True, metavar="SPEC", help="the training examples, see data")
    repair.add_argument("--labels", metavar="SPEC", help=texts.LABELS)
    repair.add_argument(
        "--clean",
        metavar="SPEC|take:K",
        help="rounds: examples whose labels are right, by which they are judged, see clean",
    )
    repair.add_argument("--test", metavar="SPEC", help="further ones, to measure every model on and for nothing else")
    repair.add_argument(
        "--model",
        default="auto",
        metavar="NAME|DIR",
        help="train this one first, see models; or take the one in the folder of an earlier detect (or, for rounds, "
        "repair) of the same data",
    )
    repair.add_argument(
        "--method", default="influential-rank", metavar="NAME", help="see methods (default influential-rank)"
    )
    repair.add_argument(
        "--fraction", type=values.share, metavar="F", help="remove, relabel: the most suspicious share, such as 0.1"
    )
    repair.add_argument(
        "--threshold",
        type=values.finite,
        metavar="P",
        help="remove, relabel: scores above this (default: what the detector flags)",
    )
    repair.add_argument(
        "--rank-by", metavar="NAME", help="remove, relabel: a method of jaxnoisy score that ranks (default lstm)"
    )
    repair.add_argument("--detector", metavar="FILE", help=f"remove, relabel, by {texts.DETECTOR}")
    repair.add_argument(
        "--true-labels",
        action="store_true",
        default=None,
        help="relabel: with the data's clean_labels, for benchmarks: what it would bring if somebody looked",
    )
    repair.add_argument("--rounds", type=values.count, metavar="R", help="at most so many (default 2)")
    repair.add_argument("--gamma", type=values.votes, metavar="G", help=f"rounds: {texts.GAMMA}")
    repair.add_argument(
        "--damping", type=values.positive, metavar="D", help="rounds: added to the curvature (default 0.01)"
    )
    repair.add_argument("--solver", metavar="NAME", help=f"rounds: {texts.SOLVER}")
    repair.add_argument(
        "--class-floor", type=values.count, metavar="K", help="spare the K least suspicious examples of each class"
    )
    repair.add_argument(
        "--keep-above",
        type=values.below_one,
        metavar="S",
        help="rounds: train anew on examples of which the repaired model is surer than this (default 0.8)",
    )
    repair.add_argument(
        "--epochs",
        type=values.count,
        metavar="E",
        help="passes over the data, of the first model and of the one trained anew (default: the model's recipe)",
    )
    repair.add_argument(
        "--learning-rate",
        type=values.positive,
        metavar="LR",
        help="of the first model and of the one trained anew (default: the recipe's)",
    )
    repair.add_argument(
        "--post-epochs", type=values.count, metavar="E", help="rounds: passes over the data in each (default 20)"
    )
    repair.add_argument(
        "--post-learning-rate",
        type=values.positive,
        metavar="LR",
        help="rounds: of each (default: that of --learning-rate)",
    )
    repair.add_argument("--batch-size", type=values.count, metavar="B", help="examples per step")
    repair.add_argument("--seed", type=values.seed, metavar="S", default=0, help="of everything random (default 0)")
    repair.add_argument("--devices", type=values.count, metavar="N", help="train on N devices (default: all there are)")
    repair.add_argument("--out", type=values.path, metavar="DIR", help=texts.OUT)
    repair.add_argument("--resume", action="store_true", help="go on with the repair in --out, if it was interrupted")
    repair.add_argument("--data-dir", metavar="DIR", help=texts.DATA_DIR)
    repair.add_argument("--skip-broken", action="store_true", help=texts.SKIP_BROKEN)
