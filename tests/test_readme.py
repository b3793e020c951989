"""The README is run: its Python blocks as they stand, and every command line against the parser."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jaxnoisy.arguments import parser
from jaxnoisy.data.spec import DATA_EXAMPLES, LABEL_EXAMPLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SHELL = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
INLINE = [" ".join(text.split()) for text in re.findall(r"`(jaxnoisy [a-z][^`]*)`", README)]


def needed(block):
    """Packages that a block imports and the project does not install."""
    return sorted({"torch"} & set(re.findall(r"^import (\w+)", block, re.MULTILINE)))


def commands():
    """The ``jaxnoisy`` command lines of the shell blocks, without the path they are called by."""
    lines = [part for block in SHELL for line in block.replace("\\\n", " ").splitlines() for part in line.split("&&")]
    found = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in found if words and Path(words[0]).name == "jaxnoisy"]


def test_there_is_something_to_run():
    assert len(PYTHON) >= 3
    assert {words[0] for words in commands()} >= {"demo", "detect", "noise"}
    assert any(text.startswith("jaxnoisy score") for text in INLINE)
    assert "@METHODS@" not in README


@pytest.mark.parametrize("block", PYTHON, ids=[f"block{k}" for k in range(len(PYTHON))])
def test_python_blocks_run(block, tmp_path):
    """Each in a process and a folder of its own, as a reader would paste it, with warnings as errors of ours."""
    for package in needed(block):
        pytest.importorskip(package)
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    assert re.search(r"\d", done.stdout), "it prints what it found"


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_lines_parse(words):
    assert parser().parse_args(words).command == words[0]


@pytest.mark.parametrize("text", INLINE)
def test_commands_in_the_text_exist(text):
    """Whole command lines parse; a mere mention, such as ``jaxnoisy score --trace``, names what exists."""
    words = shlex.split(text)[1:]
    (commands,) = (action for action in parser()._actions if action.dest == "command")
    options = {option for action in commands.choices[words[0]]._actions for option in action.option_strings}
    assert {word for word in words if word.startswith("--")} <= options
    if "--out" in words:
        parser().parse_args(words)


def test_options_in_the_text_exist():
    (commands,) = (action for action in parser()._actions if action.dest == "command")
    options = {o for command in commands.choices.values() for action in command._actions for o in action.option_strings}
    named = set(re.findall(r"`(--[a-z-]+)", README))
    assert named
    assert named <= options


def test_every_kind_of_data_and_labels_is_named():
    for scheme in (*DATA_EXAMPLES, *LABEL_EXAMPLES):
        assert re.search(rf"`[^`\n]*\b{scheme}\b[^`\n]*`", README), scheme


def test_files_that_it_links_to_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert "://" in target or (ROOT / target).exists(), target
