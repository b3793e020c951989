"""The parser of ``jaxnoisy``, put together from its commands'."""

import argparse
from collections.abc import Sequence

import jaxnoisy
from jaxnoisy.arguments import demo, detect, influence, noise, repair, score, train_detector
from jaxnoisy.arguments.lines import Parser


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command and its options; prints one line and exits with 2 where they make no sense."""
    return parser().parse_args(argv)


def parser() -> argparse.ArgumentParser:
    """The parser of ``jaxnoisy``; ``command`` of what it returns is the command's name."""
    top = Parser(
        prog="jaxnoisy",
        description="Find, weigh and repair mislabeled training examples.",
        epilog="example:\n  jaxnoisy demo --out demo\n\njaxnoisy COMMAND --help shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"jaxnoisy {jaxnoisy.__version__}")
    commands = top.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="command", parser_class=Parser
    )
    for part in (demo, detect, score, influence, repair, train_detector, noise):
        part.add(commands)
    return top
