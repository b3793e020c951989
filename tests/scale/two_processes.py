"""Starting two processes of one script, which find each other on a port of this machine."""

import contextlib
import os
import socket
import subprocess
import sys
import time

SECONDS = 400
"""For both together; a machine that does nothing else takes a twentieth."""

_TAKEN = ("Failed to start RPC server", "Address already in use")


def run(script, folder, *, attempts=3):
    """Run ``script number port folder`` as numbers 0 and 1 until both are done; whatever goes wrong is raised."""
    for attempt in range(attempts):
        outputs = [folder / f"output-{attempt}-{number}.txt" for number in (0, 1)]
        codes = _once(script, folder, outputs)
        if codes == [0, 0]:
            return
        said = [path.read_text(errors="replace") for path in outputs]
        # Between our look for a free port and its use, another program may take it.
        if attempt + 1 == attempts or not any(phrase in text for text in said for phrase in _TAKEN):
            break
    described = (
        f"process {number} {'was stopped' if code is None else f'ended with {code}'}; the end of what it said:\n"
        f"{text[-4000:]}"
        for number, (code, text) in enumerate(zip(codes, said))
    )
    raise AssertionError("\n\n".join(described))


def _once(script, folder, outputs):
    """Exit codes; None for a process that was stopped, because the other failed or time was up."""
    port = free_port()
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONUNBUFFERED": "1"}
    with contextlib.ExitStack() as stack:
        processes = []
        for number, path in enumerate(outputs):
            output = stack.enter_context(path.open("wb"))
            command = [sys.executable, str(script), str(number), str(port), str(folder)]
            process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
            processes.append(stack.enter_context(process))
        try:
            return _wait(processes)
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()


def _wait(processes):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        codes = [process.poll() for process in processes]
        if None not in codes:
            return codes
        if any(codes):
            break  # the other would wait for it
        time.sleep(0.05)
    return [process.poll() for process in processes]


def free_port():
    """A port that nothing listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
