"""How the pages are filled in: everything that comes from the data is escaped."""

from typing import overload

import jinja2
from markupsafe import Markup

from jaxnoisy.report import text
from jaxnoisy.report.figures import Picture


def template(name: str) -> jinja2.Template:
    """One of the package's templates, with the filters that show numbers and foreign text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxnoisy.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": text.count,
        "percent": text.percent,
        "number": text.number,
        "seconds": text.seconds,
        "shown": text.shown,
    }
    return environment.get_template(name)


@overload
def markup(picture: Picture) -> Picture: ...


@overload
def markup(picture: None) -> None: ...


def markup(picture: Picture | None) -> Picture | None:
    """The chart as markup."""
    # The one place where text is declared safe: charts hold no text from the data.
    return None if picture is None else picture._replace(svg=Markup(picture.svg))
