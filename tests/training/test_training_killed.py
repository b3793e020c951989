import signal

import killed_run
import numpy as np
import pytest
from forked import start
from tiny import assert_same_run, leaves

from jaxnoisy.dynamics import load


def killed(moment, folder):
    process = start(killed_run.until, moment, folder)
    process.join()
    assert process.exitcode == -signal.SIGKILL


def whole_checkpoints(folder):
    return sorted(int(path.name) for path in (folder / "run").iterdir() if path.name.isdigit())


@pytest.mark.slow
def test_a_run_killed_three_times_ends_as_if_it_had_never_been(tmp_path):
    killed("before the first checkpoint", tmp_path)
    assert whole_checkpoints(tmp_path) == []
    killed("after epoch 4", tmp_path)
    assert set(whole_checkpoints(tmp_path)) <= {2, 3, 4}
    killed("while writing", tmp_path)
    assert any("tmp" in path.name for path in (tmp_path / "run").iterdir())
    resumed = killed_run.run(tmp_path, resume=True)
    assert 3 <= resumed.history[0].epoch <= 10  # it did not begin anew
    assert resumed.history[-1].epoch == 10

    uninterrupted = killed_run.run(None)
    assert_same_run(resumed, uninterrupted)
    for a, b in zip(leaves(resumed.state.opt_state), leaves(uninterrupted.state.opt_state)):
        np.testing.assert_array_equal(a, b)
    spilled = load(tmp_path / "trace")
    for a, b in zip(spilled.seen, uninterrupted.trace.seen):
        np.testing.assert_array_equal(a, b)
    assert whole_checkpoints(tmp_path) == [10]
