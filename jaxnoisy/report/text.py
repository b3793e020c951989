"""Numbers and foreign text as the page shows them."""

import math
from typing import Any

_LIMIT = 160


def shown(text: Any, limit: int = _LIMIT) -> str:
    r"""Text from the data, fit for a page: control characters and lone surrogates as escapes, and not endless.

    It is not HTML-escaped: the template does that.

    Example:
        >>> print(shown("two\nlines"), shown("abcdef", limit=4))
        two\nlines abc…
    """
    whole = str(text)
    cut = whole if len(whole) <= limit else whole[: limit - 1] + "…"
    if cut.isprintable():
        return cut
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in cut)


def count(value: float) -> str:
    """A whole number with thousands set apart."""
    return f"{int(value):,}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage; a dash where it is not known."""
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f} %"


def number(value: float | None) -> str:
    """Three significant digits; a dash where there is no value."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e7 else f"{value:#.3g}".removesuffix(".")


def seconds(value: float) -> str:
    """A duration in the unit that reads best."""
    if value < 0.001:
        return "< 1 ms"
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def flattened(settings: Any, prefix: str = "") -> dict[str, str]:
    """Nested settings as one level of "a.b" names and shown values."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[shown(prefix + str(name))] = shown(_said(value), limit=400)
    return flat


def _said(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, dict)) and not value:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
