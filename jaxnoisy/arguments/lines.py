"""Parsers whose complaint is one line, and what the commands' parsers share."""

import argparse
from typing import NoReturn, TypeAlias

BAD_INPUT = 2


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2."""
        line = " ".join(message.split())
        self.exit(BAD_INPUT, f"{self.prog}: error: {line} (see {self.prog} --help)\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def command(commands: Commands, name: str, summary: str, example: str, *more: str) -> Parser:
    """A new command; below its options its help shows the texts in ``more``, and an example.

    Args:
        commands: where it is added.
        name: what the user types.
        summary: what it does, in a few words without a capital and a full stop.
        example: a whole command line.
        more: see :mod:`jaxnoisy.arguments.texts`.
    """
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="\n\n".join((*more, f"example:\n  {example}")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
