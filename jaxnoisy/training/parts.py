"""Parts of a model's parameters by name: all, the head, or the last block and the head."""

import re
from collections.abc import Callable
from typing import Any

import jax

from jaxnoisy import check
from jaxnoisy.types import PyTree

PARTS = ("all", "last-block", "head")

_NUMBERED = re.compile(r"\['(\w+)'\]\[(\d+)\]")


def chooser(part: str, params: PyTree) -> Callable[[str, Any], bool] | None:
    """What tells whether a parameter is of the part, for :func:`jaxnoisy.tree.split`; None for all of them.

    The last block is the last entry of each list of layers or blocks that the model holds, as those of
    :func:`jaxnoisy.models.build` do.

    Example:
        >>> params = {"blocks": [{"w": 1}, {"w": 2}], "head": {"w": 3}}
        >>> in_head, in_block = chooser("head", params), chooser("last-block", params)
        >>> path = "['blocks'][1]['w']"
        >>> in_head(path, 2), in_block(path, 2), in_block("['head']['w']", 3)
        (False, True, True)
    """
    check.one_of(part, PARTS, name="part")
    if part == "all":
        return None
    last: dict[str, int] = {}
    for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]:
        for name, number in _NUMBERED.findall(jax.tree_util.keystr(path))[:1]:
            last[name] = max(last.get(name, 0), int(number))

    def chosen(path: str, leaf: Any) -> bool:
        if "['head']" in path:
            return True
        found = _NUMBERED.search(path)
        return part == "last-block" and found is not None and int(found[2]) == last[found[1]]

    return chosen
