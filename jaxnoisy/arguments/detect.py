"""Options of ``jaxnoisy detect``."""

from jaxnoisy.arguments import texts, values
from jaxnoisy.arguments.lines import Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    detect = command(
        commands,
        "detect",
        "rank the suspicious labels of your own data",
        "jaxnoisy detect --data folder:photos --method aum,confident-learning --epochs 20 --out photos-audit",
        texts.DATA,
        texts.CLEAN,
        texts.METHODS,
        texts.MODELS,
    )
    detect.add_argument("--data", required=True, metavar="SPEC", help="the examples and their labels, see data")
    detect.add_argument("--labels", metavar="SPEC", help=texts.LABELS)
    detect.add_argument(
        "--method",
        default="",
        metavar="a,b|all",
        help="methods, see below; issues.csv follows the first (default: all that read one run, aum first)",
    )
    detect.add_argument(
        "--clean",
        metavar="SPEC|take:K",
        help="examples whose labels are right, for methods that ask for some, see clean",
    )
    detect.add_argument("--gamma", type=values.votes, metavar="G", help=f"influential-rank: {texts.GAMMA}")
    detect.add_argument(
        "--damping", type=values.positive, metavar="D", help="influential-rank: added to the curvature (default 0.01)"
    )
    detect.add_argument("--solver", metavar="NAME", help=f"influential-rank: {texts.SOLVER}")
    detect.add_argument(
        "--corruption-rate",
        type=values.above_zero_to_one,
        metavar="R",
        help="dynacor: the share of examples copied under other labels (default 0.1)",
    )
    detect.add_argument(
        "--alpha",
        type=values.auto_or_number,
        metavar="A|auto",
        help="dynacor: weight of its alignment loss (default auto: the better of 0.05 and 0.5)",
    )
    detect.add_argument(
        "--beta", type=values.positive, metavar="B", help="cores: weight of the confidence term in the end (default 2)"
    )
    detect.add_argument(
        "--neighbours", type=values.count, metavar="K", help="simifeat-vote, simifeat-rank: how many (default 10)"
    )
    detect.add_argument(
        "--passes",
        type=values.count,
        metavar="M",
        help="simifeat-vote, simifeat-rank: over augmented images (default 21; features have one)",
    )
    detect.add_argument(
        "--fdr-level",
        type=values.inside,
        metavar="L",
        help="bhn: the most that the share of right labels among those flagged may be (default 0.1)",
    )
    detect.add_argument("--learn-from", choices=("clean", "halves"), help=f"bhn: {texts.LEARN_FROM}")
    detect.add_argument(
        "--keep-above", type=values.inside, metavar="P", help="nlnl: probability of a label that is kept (default 0.5)"
    )
    detect.add_argument(
        "--weight-rate",
        type=values.positive,
        metavar="R",
        help="lsw: how far the logit of a weight moves when its example is seen (default 0.4)",
    )
    detect.add_argument(
        "--weight-start", type=values.whole(0), metavar="E", help="lsw: epochs before weights are learned (default 2)"
    )
    detect.add_argument(
        "--weight-every", type=values.count, metavar="K", help="lsw: steps between look-aheads (default 1, each)"
    )
    detect.add_argument(
        "--weight-part",
        choices=("all", "body", "last-block", "head"),
        help="lsw: parameters whose step is looked at; later ones are cheaper (default body, all but the head)",
    )
    detect.add_argument(
        "--weight-threshold", type=values.below_one, metavar="W", help="lsw: flag weights below this (default 0.3)"
    )
    detect.add_argument("--detector", metavar="FILE", help=texts.DETECTOR)
    detect.add_argument("--model", default="auto", metavar="NAME", help="see models (default: cnn for images, or mlp)")
    detect.add_argument(
        "--epochs", type=values.count, metavar="E", help="passes over the data (default: the model's recipe)"
    )
    detect.add_argument("--seed", type=values.seed, metavar="S", default=0, help="of everything random (default 0)")
    detect.add_argument("--out", type=values.path, metavar="DIR", help=texts.OUT)
    detect.add_argument("--resume", action="store_true", help="go on with the run in --out, if one was interrupted")
    detect.add_argument("--batch-size", type=values.count, metavar="B", help="examples per step")
    detect.add_argument("--learning-rate", type=values.positive, metavar="LR", help="at the start of the schedule")
    detect.add_argument("--optimizer", choices=("sgd", "adamw"), help="default sgd")
    detect.add_argument(
        "--record", choices=("train", "eval"), help="dynamics from the training step (default), or from an extra pass"
    )
    detect.add_argument("--flip", action="store_true", default=None, help="mirror images at random")
    detect.add_argument("--crop", type=values.whole(0), metavar="PIXELS", help="pad and crop images at random")
    detect.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the computation")
    detect.add_argument("--devices", type=values.count, metavar="N", help="train on N devices (default: all there are)")
    detect.add_argument("--data-dir", metavar="DIR", help=texts.DATA_DIR)
    detect.add_argument("--skip-broken", action="store_true", help=texts.SKIP_BROKEN)
