"""Options of ``jaxnoisy demo``."""

from jaxnoisy.arguments import values
from jaxnoisy.arguments.lines import Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    demo = command(commands, "demo", "every detector on digits with flipped labels", "jaxnoisy demo --out demo")
    demo.add_argument(
        "--rate", type=values.share, metavar="R", default=0.1, help="share of labels flipped (default 0.1)"
    )
    demo.add_argument(
        "--seed", type=values.seed, metavar="S", default=0, help="of the flips and the training (default 0)"
    )
    demo.add_argument(
        "--out", type=values.path, metavar="DIR", help="folder for the results (default: a new jaxnoisy-demo)"
    )
