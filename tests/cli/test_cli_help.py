import argparse
import re
import subprocess
import sys

import pytest
from cli_runs import run

from jaxnoisy import __version__
from jaxnoisy.arguments import parser
from jaxnoisy.audit import METHODS
from jaxnoisy.detect import TRACE_METHODS
from jaxnoisy.explain import METHODS as ROUTES
from jaxnoisy.models import MODEL_NAMES
from jaxnoisy.noise import KINDS
from jaxnoisy.refine import METHODS as REPAIRS
from jaxnoisy.refine import SOLVERS

COMMANDS = ("demo", "detect", "score", "influence", "repair", "train-detector", "noise")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_an_example_that_parses(command):
    result = run(f"{command} --help")
    assert result.code == 0
    assert result.err == ""
    lines = result.out.splitlines()
    example = lines[lines.index("example:") + 1].split()
    assert example[0] == "jaxnoisy"
    assert parser().parse_args(example[1:]).command == (command or "demo")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command):
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for action in commands.choices[command]._actions:
        assert action.help, action.option_strings


def listed(text, heading):
    """The names in a section of the help, which stand before a colon or between commas."""
    section = text[text.index(heading) :].split("\n\n")[0]
    return set(re.findall(r"[a-z0-9-]+", section))


def test_the_help_lists_every_method_and_model():
    text = run("detect --help").out
    assert set(METHODS) <= listed(text, "methods:")
    assert set(MODEL_NAMES) <= listed(text, "models:")
    text = run("score --help").out
    assert set(TRACE_METHODS) <= listed(text, "methods:")
    assert "aum-threshold" not in listed(text, "methods:")
    assert all(kind in run("noise --help").out for kind in KINDS)
    text = run("influence --help").out
    assert set(ROUTES) <= listed(text, "methods:")
    assert set(MODEL_NAMES) <= listed(text, "models:")
    text = run("repair --help").out
    assert set(REPAIRS) <= listed(text, "methods:")
    assert set(MODEL_NAMES) <= listed(text, "models:")
    for command in ("detect", "repair"):
        text = run(f"{command} --help").out
        assert all(re.search(rf"\b{name}\b", text[text.index("--solver NAME") :]) for name in SOLVERS)


def test_the_version_is_the_package_s():
    result = run("--version")
    assert (result.code, result.out) == (0, f"jaxnoisy {__version__}\n")


@pytest.mark.parametrize("argv", [["--help"], ["detect", "--help"], ["detect", "--data", "digits", "--epochs", "0"]])
def test_help_and_mistyped_options_import_nothing_heavy(argv):
    script = """
import sys
from jaxnoisy.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
heavy = {"jax", "flax", "numpy", "orbax", "matplotlib", "sklearn", "rich", "tensorflow_datasets"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "COMMAND"),
        ("frobnicate", "'frobnicate'"),
        ("detect", "--data"),
        ("detect --data", "--data"),
        ("detect --data digits --frobnicate", "--frobnicate"),
        ("demo extra", "extra"),
        ("score --trace t.npz", "--out"),
        ("noise --labels npy:y.npy --rate 0.1 --out n.npz", "--kind"),
        ("detect --data digits --optimizer 'a\nb'", "--optimizer"),
    ],
)
def test_a_mistyped_command_is_one_line(line, says):
    result = run(line)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert says in result.err
    assert "--help" in result.err
