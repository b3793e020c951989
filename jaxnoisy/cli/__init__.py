"""The command line: a thin layer over the library's functions of the same names."""

from jaxnoisy.cli.program import main

__all__ = ["main"]
