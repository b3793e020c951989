"""The memory of this process while something runs. Linux only."""

import threading
import time
from pathlib import Path
from typing import Any

_INTERVAL = 0.01


class Peak:
    """``with Peak() as peak``: the highest memory inside, above what the process held on entry.

    Anonymous memory is what the process itself holds, sampled every 10 ms; resident memory adds pages of mapped files,
    which the system drops when it needs them, and is the kernel's own high-water mark. Enter after the imports and
    before any data is read: what is held by then is the interpreter and its libraries.

    Attributes:
        bytes: the figures, after the block has ended.
    """

    def __enter__(self) -> "Peak":
        Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back to what is resident now
        self._before = {name: status(name) for name in ("RssAnon", "VmRSS")}
        self._highest = self._before["RssAnon"]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._highest = max(self._highest, status("RssAnon"))
            time.sleep(_INTERVAL)

    def __exit__(self, *error: Any) -> None:
        self._ended.set()
        self._thread.join()
        self.bytes = {
            "baseline_bytes": self._before["VmRSS"],
            "peak_anonymous_bytes": max(self._highest, status("RssAnon")) - self._before["RssAnon"],
            "peak_resident_bytes": status("VmHWM") - self._before["VmRSS"],
        }


def status(field: str) -> int:
    """A memory figure of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))
