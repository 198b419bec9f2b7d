"""A real Chromium for tests: it opens pages in frames of given widths and reports what does not fit.

All pages are opened by one start of the browser, without a network, and what it finds is read from the document that it
prints. A missing browser is an error that names the package to install, never a skip.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 240.0
"""How long the browser may take on a machine that is busy with other tests."""
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    # As on a phone, where they take no width.
    "--hide-scrollbars",
)
"""Of every start of the browser."""
_OPTIONS = (*OPTIONS, "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr")

_HARNESS = """<!doctype html><meta charset="utf-8"><title>pages</title>
%s
<pre id="found"></pre>
<script>
console.error("the console is read");
function wrong(frame) {
  const page = frame.contentDocument, width = page.documentElement.clientWidth, found = [];
  const named = element => element.tagName.toLowerCase() + "." + element.getAttribute("class")
    + " " + (element.textContent || "").trim().slice(0, 40);
  if (page.documentElement.scrollWidth > width) found.push("the page is " + page.documentElement.scrollWidth + " px wide");
  for (const element of page.body.querySelectorAll("*")) {
    if (element.closest("svg, thead")) continue;
    const box = element.getBoundingClientRect(), style = frame.contentWindow.getComputedStyle(element);
    if (box.width && (box.right > width + 1 || box.left < -1)) found.push("outside: " + named(element));
    if (style.overflowX === "auto" && element.scrollWidth > element.clientWidth + 1) found.push("cut: " + named(element));
    if (element.childElementCount === 0 && element.textContent.trim() && box.width && parseFloat(style.fontSize) < 10.9)
      found.push("too small: " + named(element));
  }
  const plots = [...page.querySelectorAll(".plot")].map(plot => plot.getBoundingClientRect().width);
  return {width: width, wrong: found.slice(0, 12), narrowest: plots.length ? Math.min(...plots) : null};
}
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(wrong);
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>
"""


class BrowserError(RuntimeError):
    """The browser is missing, or did not print the document; holds the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one page looks at one width in CSS pixels."""

    page: str
    width: int
    wrong: tuple[str, ...]
    """What lies outside of the page, is cut, or is too small to read."""
    narrowest: float | None
    """Width of the narrowest chart; None: there is no chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the browser found in all pages."""

    layouts: tuple[Layout, ...]
    console: tuple[str, ...]
    """Errors and warnings of the console."""


def browser() -> str:
    """The browser's program.

    Raises:
        BrowserError: no browser is installed.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise BrowserError("chromium is not installed: tests need it (for example 'apt-get install chromium')")
    return found


def opened(pages: Mapping[str, str], widths: Sequence[int]) -> Opened:
    """Open each page, given as HTML by its name, at each width.

    Raises:
        BrowserError: there is no browser, or it printed nothing.
    """
    wanted = [(name, width) for name in pages for width in widths]
    frames = "\n".join(
        f'<iframe width="{width}" height="900" style="border:0" srcdoc="{html.escape(pages[name])}"></iframe>'
        for name, width in wanted
    )
    said, log = _run(_HARNESS % frames)
    # Pages come before it, and may hold the same text.
    _, _, printed = said.rpartition('<pre id="found">')
    try:
        found: list[dict[str, Any]] = json.loads(html.unescape(printed.partition("</pre>")[0]))
    except json.JSONDecodeError as error:
        raise BrowserError(f"the browser did not print the document:\n{log[-2000:]}") from error
    console = [line for line in log.splitlines() if "CONSOLE" in line]
    if not any("the console is read" in line for line in console):
        raise BrowserError(f"the browser's console is not in its log:\n{log[-2000:]}")
    layouts = [
        Layout(page=name, width=width, wrong=tuple(one["wrong"]), narrowest=one["narrowest"])
        for (name, width), one in zip(wanted, found, strict=True)
    ]
    return Opened(layouts=tuple(layouts), console=tuple(line for line in console if "the console is read" not in line))


def _run(page: str) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(prefix="velro-browser-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "pages.html"
        file.write_text(page, encoding="utf-8")
        command = [browser(), *_OPTIONS, f"--user-data-dir={folder}/profile", "--dump-dom", file.as_uri()]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder, "LC_ALL": "C.UTF-8"},
        )
    return done.stdout, re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)
