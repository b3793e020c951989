import contextlib
import io

from jaxnoisy.progress import epoch_bar
from jaxnoisy.training import EpochReport


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drawn(stream, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    with contextlib.redirect_stderr(stream), epoch_bar() as on_epoch:
        for epoch in range(1, 4):
            on_epoch("main", EpochReport(epoch, 0.25, 0.875, 0.5, 1000), 3)
        on_epoch("threshold-a", EpochReport(1, 2.0, 0.5, 1.0, 300), 3)
    return stream.getvalue()


def test_a_terminal_shows_epochs_rate_loss_and_time_left(monkeypatch):
    text = drawn(Terminal(), monkeypatch)
    for part in ("train main", "3/3", "epochs", "2,000 examples/s", "loss 0.250", "accuracy 87.5%", "0:00:00"):
        assert part in text
    assert "train threshold-a" in text
    assert "1/3" in text


def test_anything_else_stays_silent(monkeypatch):
    assert drawn(io.StringIO(), monkeypatch) == ""


def test_a_log_file_stays_silent_even_with_colours(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert drawn(io.StringIO(), monkeypatch) == ""
