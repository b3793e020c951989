"""What rounds leave on disk, so that a repair that is killed at any moment ends as if it had not been."""

import contextlib
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnoisy import files
from jaxnoisy.detect import Detection
from jaxnoisy.refine.subject import Weights
from jaxnoisy.repair import PostTrainState, RoundInfo
from jaxnoisy.training.checkpoint import Checkpoints, read_run

FOLDER = "rounds"
_NOT_A_NUMBER = ("accuracy_before", "accuracy_after")


class Progress(NamedTuple):
    """Where a repair stands after a round.

    Attributes:
        state: of the rounds; its model is a :class:`~jaxnoisy.refine.subject.Weights`.
        removed_in: (n,) int32, the round that dropped an example for good; 0 = none yet.
        scores: (n,) float64 suspicion from the last round that scored the example.
        infos: a record of each round.
        said: for each round, how its linear systems were solved.
    """

    state: PostTrainState
    removed_in: np.ndarray
    scores: np.ndarray
    infos: tuple[RoundInfo, ...]
    said: tuple[str, ...]

    def after(self, state: PostTrainState, info: RoundInfo, scores: np.ndarray | None, said: str) -> "Progress":
        """The progress after one more round, of which ``scores`` are those of the examples it began with, if any."""
        removed_in, every = self.removed_in.copy(), self.scores.copy()
        if info.accepted:
            removed_in[info.removed] = info.round
        if scores is not None:
            every[self.state.kept] = scores
        return Progress(state, removed_in, every, (*self.infos, info), (*self.said, said))


class Rounds:
    """The folder of one repair, or nothing where it is not to be kept.

    A round's arrays and record are written before its model, whose checkpoint becomes visible only when it is whole:
    a round counts as done when its checkpoint is there. What a round flagged is kept while it trains, as a resumed
    run might, by rounding on another device, flag others and then not know its own checkpoints.

    Args:
        folder: made if it is not there, or None.
        run: plain values that tell this repair from another.
        resume: go on with the repair that the folder holds.

    Raises:
        ValueError: the folder holds checkpoints and ``resume`` is not set, or they are of another run.
    """

    def __init__(self, folder: files.PathLike | None, run: dict[str, Any], *, resume: bool) -> None:
        self._folder, self._run = None if folder is None else Path(folder), run
        if self._folder is None:
            return
        main = self._folder / "main"
        if main.exists() and (not resume or not read_run(main).get("refined")):
            raise ValueError(f"{str(self._folder)!r} holds the checkpoints of a run: choose another folder")
        with contextlib.closing(Checkpoints(self._folder / FOLDER, run, resume=resume)):
            pass

    def folder(self, name: str) -> Path | None:
        """Where a training run of this repair keeps its checkpoints."""
        return None if self._folder is None else self._folder / name

    def restore(self, begun: Progress) -> Progress:
        """The progress after the last round that is whole on disk, or that of a repair just begun."""
        if self._folder is None:
            return begun
        with contextlib.closing(Checkpoints(self._folder / FOLDER, self._run, resume=True)) as saved:
            last = saved.latest()
            if last is None:
                return begun
            model = Weights(**saved.restore(begun.state.model._asdict()))
        infos, said = zip(*(self._record(number) for number in range(1, last + 1)))
        arrays, end = files.read_npz(self._path(f"round-{last}.npz")), files.read_json(self._path(f"round-{last}.json"))
        state = PostTrainState(model, arrays["kept"], end["accuracy"], last, end["finished"])
        return Progress(state, arrays["removed_in"], arrays["scores"], infos, said)

    def save(self, progress: Progress) -> None:
        """Write down the round just done; what training it took on disk goes."""
        if self._folder is None:
            return
        state, info = progress.state, progress.infos[-1]
        number = info.round
        arrays = {
            "kept": state.kept,
            "removed_in": progress.removed_in,
            "scores": progress.scores,
            "removed": info.removed,
        }
        record = {name: value for name, value in info._asdict().items() if name != "removed"}
        end = {"accuracy": state.accuracy, "finished": state.finished, "said": progress.said[-1], "info": record}
        files.write_npz(self._path(f"round-{number}.npz"), arrays)
        files.write_json(self._path(f"round-{number}.json"), end)
        with contextlib.closing(Checkpoints(self._folder / FOLDER, self._run, resume=True)) as saved:
            saved.save(number, state.model._asdict())
        shutil.rmtree(self._folder / f"round-{number}", ignore_errors=True)
        self._path(f"found-{number}.npz").unlink(missing_ok=True)

    def found(self, number: int) -> tuple[Detection, str] | None:
        """What a round that was not finished had flagged, and how its systems were solved."""
        if self._folder is None or not self._path(f"found-{number}.npz").exists():
            return None
        arrays = files.read_npz(self._path(f"found-{number}.npz"))
        return Detection(arrays["scores"], arrays["flagged"], None), str(arrays["said"])

    def keep_found(self, number: int, detection: Detection, said: str) -> None:
        """Write down what a round has flagged."""
        if self._folder is not None:
            arrays = {"scores": detection.scores, "flagged": detection.flagged, "said": np.array(said)}
            files.write_npz(self._path(f"found-{number}.npz"), arrays)

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / FOLDER / name

    def _record(self, number: int) -> tuple[RoundInfo, str]:
        end = files.read_json(self._path(f"round-{number}.json"))
        fields = end["info"]
        # JSON has null for what is not a number; elsewhere in a record it stands for what is not known.
        fields |= {name: _number(fields[name]) for name in _NOT_A_NUMBER}
        fields["measures"] = {name: _number(value) for name, value in fields["measures"].items()}
        removed = files.read_npz(self._path(f"round-{number}.npz"))["removed"]
        return RoundInfo(removed=removed, **fields), end["said"]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
