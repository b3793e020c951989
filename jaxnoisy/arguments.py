"""What the command line takes: its commands, their options, and the ranges that can be checked before any work.

Nothing heavy is imported here, so that ``--help`` and a mistyped option answer at once. Names of methods and models are
therefore written out; the tests hold them against the library's.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import NoReturn

import jaxnoisy

BAD_INPUT = 2

_LARGEST_SEED = 2**32 - 1  # what jax.random.key tells apart

_METHODS = """methods:
  aum, margin-mixture, small-loss, mean-loss, confident-learning, forgetting,
  confidence, variability, el2n: read one training run
  aum-threshold: AUM with threshold examples, two runs more
  all: every one that the run allows"""

_MODELS = """models:
  linear, mlp: features, and images as rows of pixels
  cnn, resnet18, resnet34, resnet50, resnet20, resnet32, preact-resnet18, vgg16:
  images"""

_INFLUENCE = """methods:
  last-layer: exact, through the last layer, with its features taken as given
  gauss-newton: through all parameters, by conjugate gradient
  ekfac: through all parameters, approximately, without iterations"""

_QUERIES = """queries:
  ids:a,b,c           training examples by their ids
  take:K              the first K training examples
  any kind of data    in the classes of the training data"""

_DATA = """data:
  digits              scikit-learn's handwritten digits
  npz:FILE            arrays inputs (n, ...) and labels (n,)
  folder:DIR          images, one folder per class
  csv:FILE            numeric columns and a column label
  tfds:NAME[@SPLIT]   prepared by TFDS as array_record in --data-dir"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        line = " ".join(message.split())
        self.exit(BAD_INPUT, f"{self.prog}: error: {line} (see {self.prog} --help)\n")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command and its options; prints one line and exits with 2 where they make no sense."""
    return parser().parse_args(argv)


def parser() -> argparse.ArgumentParser:
    """The parser of ``jaxnoisy``; ``command`` of what it returns is the command's name."""
    top = _Parser(
        prog="jaxnoisy",
        description="Find, weigh and repair mislabeled training examples.",
        epilog="example:\n  jaxnoisy demo --out demo\n\njaxnoisy COMMAND --help shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"jaxnoisy {jaxnoisy.__version__}")
    commands = top.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="command", parser_class=_Parser
    )
    _demo(commands)
    _detect(commands)
    _score(commands)
    _influence(commands)
    _noise(commands)
    return top


def _demo(commands: "argparse._SubParsersAction[_Parser]") -> None:
    demo = _command(commands, "demo", "every detector on digits with flipped labels", "jaxnoisy demo --out demo")
    demo.add_argument("--rate", type=_share, metavar="R", default=0.1, help="share of labels flipped (default 0.1)")
    demo.add_argument("--seed", type=_seed, metavar="S", default=0, help="of the flips and the training (default 0)")
    demo.add_argument("--out", type=_path, metavar="DIR", help="folder for the results (default: a new jaxnoisy-demo)")


def _detect(commands: "argparse._SubParsersAction[_Parser]") -> None:
    detect = _command(
        commands,
        "detect",
        "rank the suspicious labels of your own data",
        "jaxnoisy detect --data folder:photos --method aum,confident-learning --epochs 20 --out photos-audit",
        _DATA,
        _METHODS,
        _MODELS,
    )
    detect.add_argument("--data", required=True, metavar="SPEC", help="the examples and their labels, see data")
    detect.add_argument(
        "--labels",
        metavar="SPEC",
        help="other given labels for the same examples: npy:FILE | cifar10n:FILE:NAME | cifar100n:FILE:NAME",
    )
    detect.add_argument(
        "--method",
        default="",
        metavar="a,b|all",
        help="methods, see below; issues.csv follows the first (default: all that read one run, aum first)",
    )
    detect.add_argument("--model", default="auto", metavar="NAME", help="see models (default: cnn for images, or mlp)")
    detect.add_argument("--epochs", type=_count, metavar="E", help="passes over the data (default: the model's recipe)")
    detect.add_argument("--seed", type=_seed, metavar="S", default=0, help="of everything random (default 0)")
    detect.add_argument("--out", type=_path, metavar="DIR", help="folder for the results (default: a new one)")
    detect.add_argument("--resume", action="store_true", help="go on with the run in --out, if one was interrupted")
    detect.add_argument("--batch-size", type=_count, metavar="B", help="examples per step")
    detect.add_argument("--learning-rate", type=_positive, metavar="LR", help="at the start of the schedule")
    detect.add_argument("--optimizer", choices=("sgd", "adamw"), help="default sgd")
    detect.add_argument(
        "--record", choices=("train", "eval"), help="dynamics from the training step (default), or from an extra pass"
    )
    detect.add_argument("--flip", action="store_true", default=None, help="mirror images at random")
    detect.add_argument("--crop", type=_whole(0), metavar="PIXELS", help="pad and crop images at random")
    detect.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the computation")
    detect.add_argument("--devices", type=_count, metavar="N", help="train on N devices (default: all there are)")
    detect.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its data")
    detect.add_argument("--skip-broken", action="store_true", help="leave out and list images that cannot be read")


def _score(commands: "argparse._SubParsersAction[_Parser]") -> None:
    score = _command(
        commands,
        "score",
        "run detectors on arrays that any framework wrote",
        "jaxnoisy score --method confident-learning --pred-probs probs.npy --labels labels.npy --out scored",
        _METHODS.replace("  aum-threshold: AUM with threshold examples, two runs more\n", ""),
    )
    score.add_argument(
        "--method",
        default="",
        metavar="a,b|all",
        help="methods, see below; issues.csv follows the first (default: all that the arrays allow)",
    )
    score.add_argument("--trace", metavar="FILE", help="a trace (.npz) or the folder of a spilled one")
    score.add_argument("--pred-probs", metavar="FILE", help="class probabilities (n, c): .npy, or .npz with pred_probs")
    score.add_argument("--labels", metavar="FILE", help="given labels (n,): .npy, or .npz with labels")
    score.add_argument("--clean-labels", metavar="FILE", help="true labels, where known, to measure the detectors")
    score.add_argument("--out", required=True, type=_path, metavar="DIR", help="folder for the results")


def _influence(commands: "argparse._SubParsersAction[_Parser]") -> None:
    influence = _command(
        commands,
        "influence",
        "find the training examples behind a model's predictions",
        "jaxnoisy influence --data folder:photos --model photos-audit --queries folder:odd --out why",
        _DATA,
        _QUERIES,
        _INFLUENCE,
        _MODELS,
    )
    influence.add_argument("--data", required=True, metavar="SPEC", help="the training examples, see data")
    influence.add_argument("--labels", metavar="SPEC", help="other given labels for them, as in detect")
    influence.add_argument("--queries", required=True, metavar="SPEC", help="the examples to explain, see queries")
    influence.add_argument(
        "--model",
        default="auto",
        metavar="NAME|DIR",
        help="train this one, see models; or take the one in the folder of an earlier detect on the same data",
    )
    influence.add_argument("--method", default="last-layer", metavar="NAME", help="see methods (default last-layer)")
    influence.add_argument(
        "--damping", type=_positive, metavar="D", default=0.01, help="added to the curvature (default 0.01)"
    )
    influence.add_argument(
        "--top", type=_count, metavar="K", default=10, help="examples either way for each query (default 10)"
    )
    influence.add_argument("--full", action="store_true", help="also write influence.npy, all influences (n, k)")
    influence.add_argument("--epochs", type=_count, metavar="E", help="passes over the data (default: the recipe's)")
    influence.add_argument("--seed", type=_seed, metavar="S", default=0, help="of the training (default 0)")
    influence.add_argument("--out", type=_path, metavar="DIR", help="folder for the results (default: a new one)")
    influence.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its data")
    influence.add_argument("--skip-broken", action="store_true", help="leave out and list images that cannot be read")


def _noise(commands: "argparse._SubParsersAction[_Parser]") -> None:
    noise = _command(
        commands,
        "noise",
        "write noisy labels and the mask of flips",
        "jaxnoisy noise --labels npy:labels.npy --kind symmetric --rate 0.2 --seed 0 --out noisy.npz",
    )
    noise.add_argument("--labels", required=True, metavar="npy:FILE", help="clean labels (n,)")
    noise.add_argument("--kind", required=True, metavar="KIND", help="symmetric | asymmetric | instance | superclass")
    noise.add_argument("--rate", required=True, type=_share, metavar="R", help="noise rate in [0, 1]")
    noise.add_argument("--seed", type=_seed, metavar="S", default=0, help="of the flips (default 0)")
    noise.add_argument("--num-classes", type=_whole(2), metavar="C", help="default: one more than the largest label")
    noise.add_argument("--inputs", metavar="npy:FILE", help="inputs (n, ...), for instance noise")
    noise.add_argument("--features", default="raw", help="feature scale of instance noise: raw | unit_norm")
    noise.add_argument("--groups", metavar="npy:FILE", help="superclass of each class (c,), for superclass noise")
    noise.add_argument("--out", required=True, type=_path, metavar="FILE", help="an .npz: labels, mask, clean_labels")


def _command(
    commands: "argparse._SubParsersAction[_Parser]", name: str, summary: str, example: str, *more: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="\n\n".join((*more, f"example:\n  {example}")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    expected = f">= {low}" if high is None else f"from {low} to {high}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"must be a whole number {expected}, but is {text!r}")
        return value

    return convert


_seed, _count = _whole(0, _LARGEST_SEED), _whole(1)


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, but is {text!r}")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, but is {text!r}")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be a path, but is {text!r}")
    return text
