"""BokehJS, the library that draws the charts: its script from the installed package, to be written into the page.

Only one file of the package is read, and no module of it is imported: that would cost half a second and is not needed, since
the page's own script (``charts.js``) calls the library by its JavaScript interface.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.util import find_spec

from jinja2 import FileSystemLoader, TemplateNotFound

from velro_gate.report.text.templating import shipped, text_of

_FILE = "bokeh.min.js"


@cache
def library() -> str | None:
    """The library as one script; None: the package is not installed, or not complete."""
    spec = find_spec("bokeh")
    places = None if spec is None else spec.submodule_search_locations
    loader = FileSystemLoader([f"{place}/server/static/js" for place in places or ()])
    try:
        return _inside_script(text_of(loader, _FILE))
    except TemplateNotFound:
        return None


@cache
def program() -> str:
    """The page's own script."""
    return _inside_script(shipped("charts.js"))


@cache
def policy() -> str:
    """The page's content security policy: these two scripts run and nothing else does, and nothing is fetched."""
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in (library() or "", program()))
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def live_program() -> str:
    """The script of the page of a running load."""
    return _inside_script(shipped("live.js"))


@cache
def live_policy() -> str:
    """The policy of that page: one more script, which may ask the server that the page came from."""
    own = f"'sha256-{_digest(live_program())}'"
    return policy().replace("; style-src", f" {own}; connect-src 'self'; style-src", 1)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _inside_script(text: str) -> str:
    """The same program, in which nothing ends the element that it stands in or hides that end."""
    # Either can only stand in a string or in a comment, where the backslash changes nothing.
    return re.sub("</(?=script)", r"<\\/", text, flags=re.IGNORECASE).replace("<!--", r"<\!--")
