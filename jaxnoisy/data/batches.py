"""Batches from the host, gathered ahead of the device."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def prefetched(make: Callable[[In], Out], items: Iterable[In], *, depth: int = 3) -> Iterator[Out]:
    """Yield ``make(item)`` in order, with up to ``depth`` of them made ahead by one thread.

    An error in ``make`` is raised where its item would have been yielded.

    Example:
        >>> list(prefetched(lambda k: k * k, range(4)))
        [0, 1, 4, 9]
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending: collections.deque = collections.deque()
        for item in items:
            pending.append(pool.submit(make, item))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
