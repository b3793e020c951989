"""Options of ``jaxnoisy influence``."""

from jaxnoisy.arguments import texts, values
from jaxnoisy.arguments.lines import Commands, command

_METHODS = """methods:
  last-layer: exact, through the last layer, with its features taken as given
  gauss-newton: through all parameters, by conjugate gradient
  ekfac: through all parameters, approximately, without iterations"""

_QUERIES = """queries:
  ids:a,b,c           training examples by their ids
  take:K              the first K training examples
  any kind of data    in the classes of the training data"""


def add(commands: Commands) -> None:
    """Add the command."""
    influence = command(
        commands,
        "influence",
        "find the training examples behind a model's predictions",
        "jaxnoisy influence --data folder:photos --model photos-audit --queries folder:odd --out why",
        texts.DATA,
        _QUERIES,
        _METHODS,
        texts.MODELS,
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
        "--damping", type=values.positive, metavar="D", default=0.01, help="added to the curvature (default 0.01)"
    )
    influence.add_argument(
        "--top", type=values.count, metavar="K", default=10, help="examples either way for each query (default 10)"
    )
    influence.add_argument("--full", action="store_true", help="also write influence.npy, all influences (n, k)")
    influence.add_argument(
        "--epochs", type=values.count, metavar="E", help="passes over the data (default: the recipe's)"
    )
    influence.add_argument("--seed", type=values.seed, metavar="S", default=0, help="of the training (default 0)")
    influence.add_argument("--out", type=values.path, metavar="DIR", help=texts.OUT)
    influence.add_argument("--data-dir", metavar="DIR", help=texts.DATA_DIR)
    influence.add_argument("--skip-broken", action="store_true", help=texts.SKIP_BROKEN)
