"""Parts of a model's parameters by name: all, all but the head, the last block, or the head."""

import re
from collections.abc import Callable
from typing import Any

import jax

from jaxnoisy import check
from jaxnoisy.types import PyTree

PARTS = ("all", "body", "last-block", "head")

_NUMBERED = re.compile(r"\['(\w+)'\]\[(\d+)\]")


def chooser(part: str, params: PyTree) -> Callable[[str, Any], bool] | None:
    """What tells whether a parameter is of the part, for :func:`jaxnoisy.tree.split`; None for all of them.

    The body is all but the head. The last block is the last entry of each list of layers or blocks that the model
    holds, as those of :func:`jaxnoisy.models.build` do. Of a model that is a head alone, both are all of it.

    Example:
        >>> params = {"blocks": [{"w": 1}, {"w": 2}], "head": {"w": 3}}
        >>> paths = "['blocks'][0]['w']", "['blocks'][1]['w']", "['head']['w']"
        >>> for part in ("body", "last-block", "head"):
        ...     print(part, [chooser(part, params)(path, None) for path in paths])
        body [True, True, False]
        last-block [False, True, False]
        head [False, False, True]
        >>> chooser("last-block", {"head": {"w": 3}}) is None
        True
    """
    check.one_of(part, PARTS, name="part")
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    if part == "all" or all(map(_in_head, paths)):
        return None
    last: dict[str, int] = {}
    for path in paths:
        for name, number in _NUMBERED.findall(path)[:1]:
            last[name] = max(last.get(name, 0), int(number))

    def in_last_block(path: str) -> bool:
        found = _NUMBERED.search(path)
        return found is not None and not _in_head(path) and int(found[2]) == last[found[1]]

    if part == "last-block":
        return lambda path, leaf: in_last_block(path)
    return lambda path, leaf: _in_head(path) == (part == "head")


def _in_head(path: str) -> bool:
    return "['head']" in path
