"""Options of ``jaxnoisy noise``."""

from jaxnoisy.arguments import values
from jaxnoisy.arguments.lines import Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    noise = command(
        commands,
        "noise",
        "write noisy labels and the mask of flips",
        "jaxnoisy noise --labels npy:labels.npy --kind symmetric --rate 0.2 --seed 0 --out noisy.npz",
    )
    noise.add_argument("--labels", required=True, metavar="npy:FILE", help="clean labels (n,)")
    noise.add_argument("--kind", required=True, metavar="KIND", help="symmetric | asymmetric | instance | superclass")
    noise.add_argument("--rate", required=True, type=values.share, metavar="R", help="noise rate in [0, 1]")
    noise.add_argument("--seed", type=values.seed, metavar="S", default=0, help="of the flips (default 0)")
    noise.add_argument(
        "--num-classes", type=values.whole(2), metavar="C", help="default: one more than the largest label"
    )
    noise.add_argument("--inputs", metavar="npy:FILE", help="inputs (n, ...), for instance noise")
    noise.add_argument("--features", default="raw", help="feature scale of instance noise: raw | unit_norm")
    noise.add_argument("--groups", metavar="npy:FILE", help="superclass of each class (c,), for superclass noise")
    noise.add_argument(
        "--out", required=True, type=values.path, metavar="FILE", help="an .npz: labels, mask, clean_labels"
    )
