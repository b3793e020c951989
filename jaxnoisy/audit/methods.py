"""The methods by name, and which of them can be asked for."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from jaxnoisy import check
from jaxnoisy.audit.beyond import Beyond
from jaxnoisy.audit.bhn import Bhn
from jaxnoisy.audit.cores import Cores
from jaxnoisy.audit.dynacor import DynaCor
from jaxnoisy.audit.influential_rank import InfluentialRank
from jaxnoisy.audit.lsw import LSW
from jaxnoisy.audit.nlnl import Nlnl
from jaxnoisy.audit.simifeat import SimiFeatRank, SimiFeatVote
from jaxnoisy.audit.threshold import AumThreshold
from jaxnoisy.detect import MIN_EPOCHS, TRACE_METHODS

BEYOND: Mapping[str, type[Beyond]] = MappingProxyType(
    {
        method.name: method
        for method in (AumThreshold, Bhn, DynaCor, Cores, Nlnl, SimiFeatVote, SimiFeatRank, LSW, InfluentialRank)
    }
)
"""The methods that read more than the trace, as the classes of their options."""

METHODS = (*TRACE_METHODS, *BEYOND)
"""Every method that an audit knows: those that read one trace, and those that need runs or examples of their own."""


def allowed(epochs: int | None = None, *, clean: bool = False, more_runs: bool = True) -> tuple[str, ...]:
    """The methods that can be asked for.

    Args:
        epochs: of the run, where they are known.
        clean: whether there are examples with clean labels.
        more_runs: also those that train runs of their own, or whose cost grows faster than the examples.

    Example:
        >>> allowed(1, clean=True, more_runs=False)[-2:]
        ('el2n', 'influential-rank')
    """
    found = []
    for name in METHODS:
        beyond = BEYOND.get(name)
        cheap = beyond is None or (beyond.by_default and not beyond.runs)
        possible = beyond is None or clean or not beyond.needs_clean
        possible = possible and (more_runs or cheap)
        needed = max(MIN_EPOCHS.get(name, 1), beyond.min_epochs if beyond else 1)
        long_enough = epochs is None or epochs >= needed
        if long_enough and possible:
            found.append(name)
    return tuple(found)


def known_methods(methods: Sequence[str | Beyond]) -> dict[str, Beyond | None]:
    """The methods asked for, in order and once each, with their options; those that read the trace alone have none.

    Raises:
        ValueError: none at all, a name that is not known, or one method with different options.
    """
    if not methods:
        raise ValueError(f"no method was given: name some of {', '.join(METHODS)}")
    found: dict[str, Beyond | None] = {}
    for method in methods:
        name = method.name if isinstance(method, Beyond) else check.one_of(method, METHODS, name="method")
        asked = method if isinstance(method, Beyond) else BEYOND[name]() if name in BEYOND else None
        if found.setdefault(name, asked) != asked:
            raise ValueError(f"{name} is asked for twice, as {found[name]} and as {asked}: run one audit for each")
    return found


def refuse_impossible(methods: Iterable[str], *, epochs: int, clean: bool) -> None:
    """Refuse methods that a run of so many epochs is too short for, or that need clean examples where there are none.

    Raises:
        ValueError: which, and what to do.
    """
    for name in methods:
        if epochs < MIN_EPOCHS.get(name, 1):
            raise ValueError(
                f"{name} compares epochs and needs at least {MIN_EPOCHS[name]}, but the run has {epochs}: "
                f"train for more epochs, or leave out {name}"
            )
        if name in BEYOND and BEYOND[name].needs_clean and not clean:
            raise ValueError(
                f"{name} needs examples whose labels are known to be right: give some (--clean SPEC, or --clean "
                f"take:K from data whose clean labels are known), or leave out {name}"
            )
