"""What the command line takes: its commands, their options, and the ranges that can be checked before any work.

Nothing heavy is imported here, so that ``--help`` and a mistyped option answer at once. Names of methods and models are
therefore written out; the tests hold them against the library's.
"""

from jaxnoisy.arguments.commands import parse, parser
from jaxnoisy.arguments.lines import BAD_INPUT

__all__ = ["BAD_INPUT", "parse", "parser"]
