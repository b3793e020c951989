"""Two processes that hold half of the examples each: the same numbers as one process with all of them."""

from pathlib import Path

import numpy as np
import pytest
import scale_members
import two_processes


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each process wrote."""
    folder = tmp_path_factory.mktemp("two")
    two_processes.run(Path(__file__).with_name("one_of_two.py"), folder)
    return [dict(np.load(folder / f"found-{number}.npz")) for number in (0, 1)]


@pytest.mark.parametrize("name", scale_members.ACROSS)
def test_two_processes_agree_with_one(name, found, on_one_device):
    for process in found:
        leaves = [process[f"{name}.{i}"] for i in range(len(on_one_device[name]))]
        scale_members.assert_equal_to_rounding(leaves, on_one_device[name])


def test_each_process_can_write_all_of_the_matrix(found, on_one_device):
    for process in found:
        scale_members.assert_equal_to_rounding([process["written"]], on_one_device["forward"])


def test_both_processes_refuse_what_either_holds(found):
    first, second = ({name: str(a) for name, a in process.items() if "refused" in name} for process in found)
    assert "which other processes hold" in first["nan refused"]
    assert "such as nan at index (30, 2)" in second["nan refused"]
    assert all("data['x'] has values that are not finite" in p["nan refused"] for p in (first, second))
    for process in (first, second):
        assert "weights[0] is -40.0" in process["weights refused"]
        assert "labels[47] is 47, but there are 9 classes" in process["labels refused"]


def test_what_the_processes_say_is_shown_where_one_fails(tmp_path):
    script = tmp_path / "fails.py"
    script.write_text(
        "import pathlib, sys, time\n"
        "print('said', sys.argv[1])\n"
        "started = pathlib.Path(sys.argv[3], 'started')\n"
        "if sys.argv[1] == '0':\n"
        "    started.touch()\n"
        "    time.sleep(600)\n"
        "while not started.exists():\n"
        "    time.sleep(0.01)\n"
        "sys.exit(3)\n"
    )
    with pytest.raises(AssertionError, match=r"(?s)process 0 was stopped.*said 0.*process 1 ended with 3.*said 1"):
        two_processes.run(script, tmp_path)


def test_another_port_is_tried_where_one_is_taken(tmp_path):
    script = tmp_path / "taken.py"
    script.write_text(
        "import pathlib, sys\n"
        "ports = pathlib.Path(sys.argv[3], 'ports')\n"
        "if sys.argv[1] == '0':\n"
        "    with ports.open('a') as file:\n"
        "        file.write(sys.argv[2] + '\\n')\n"
        "    if len(ports.read_text().split()) == 1:\n"
        "        sys.exit('JaxRuntimeError: UNKNOWN: Failed to start RPC server')\n"
    )
    two_processes.run(script, tmp_path)
    assert len((tmp_path / "ports").read_text().split()) == 2
