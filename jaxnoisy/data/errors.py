"""Errors about files."""

import contextlib
import os
from collections.abc import Iterator


class UnreadableError(ValueError):
    """An example, or a part of one, cannot be read: what ``skip_broken`` leaves out."""


@contextlib.contextmanager
def about(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put ``path`` in front of the message of every ``ValueError`` or ``TypeError`` that does not name it yet."""
    where = repr(os.fspath(path))
    try:
        yield
    except TypeError as error:
        if where in str(error):
            raise
        raise TypeError(f"{where}: {error}") from error
    except ValueError as error:
        if where in str(error):
            raise
        raise ValueError(f"{where}: {error}") from error
