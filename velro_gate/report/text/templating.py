"""The templates shipped in this package; a name that a template misspells is an error, never an empty place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, Protocol

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    Template,
    TemplateError,
)
from jinja2.sandbox import SandboxedEnvironment

from velro_gate.errors import UsageError
from velro_gate.report.text import escape, figures, phrase

_TEMPLATES = "See docs/reports.md for the templates, their blocks and what they are given."


class InPhase(Protocol):
    """A row that belongs to a phase."""

    @property
    def phase(self) -> str:
        """The phase's name."""


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Neighbouring rows of one phase."""

    phase: str
    rows: list[Any]


def groupby_phase(rows: Iterable[InPhase]) -> list[RowGroup]:
    """Runs of rows of one phase, in the order given: a table then names each phase once."""
    return [RowGroup(name, list(group)) for name, group in groupby(rows, key=lambda row: row.phase)]


@dataclass(slots=True)
class _Own:
    """A folder of templates that stand over those of the package; empty: only the package's."""

    folder: str = ""


_OWN = _Own()


def use_templates(folder: str) -> None:
    """From now on templates of this folder stand over those of the package, which they extend as ``velro/NAME``."""
    _OWN.folder = folder
    template.cache_clear()


@cache
def template(file: str) -> Template:
    """A template by its file name; HTML is escaped by default, markdown by the filters ``md`` and ``name``."""
    return _environment(html=file.endswith((".html.j2", ".svg.j2"))).get_template(file)


def rendered(file: str, values: Mapping[str, Any]) -> str:
    """What a template makes of these values.

    Raises:
        UsageError: a template of the folder that stands over the package's cannot be used.
    """
    try:
        return template(file).render(values)
    except Exception as error:
        # What a template computes can fail in any way; one of the package's own that does is a fault of ours.
        if not _OWN.folder:
            raise
        where = f"{_OWN.folder}/{getattr(error, 'name', None) or file}"
        why = error.message if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        raise UsageError("a template cannot be used", where=where, why=why, hint=_TEMPLATES) from error


def shipped(file: str) -> str:
    """A file next to the templates, as it is."""
    return text_of(PackageLoader("velro_gate.report"), file)


def text_of(loader: BaseLoader, file: str) -> str:
    """What a loader of templates has under a name, as it is.

    Raises:
        TemplateNotFound: it has nothing.
    """
    return loader.get_source(_environment(html=False), file)[0]


def _environment(*, html: bool) -> Environment:
    package = PackageLoader("velro_gate.report")
    own: list[BaseLoader] = [FileSystemLoader(_OWN.folder)] if _OWN.folder else []
    # Whoever brings templates need not be whoever owns this process: they reach what they are given, and nothing else.
    kind = SandboxedEnvironment if own else Environment
    environment = kind(
        loader=ChoiceLoader([*own, package, PrefixLoader({"velro": package})]),
        undefined=StrictUndefined,
        autoescape=html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["groupby_phase"] = groupby_phase
    environment.filters["footnote"] = figures.footnote
    environment.filters["md"] = escape.markdown_text
    environment.filters["bound"] = escape.bound
    environment.filters["cell"] = escape.cell
    environment.filters["line"] = escape.markdown_line
    environment.filters["name"] = escape.markdown_name
    environment.filters["phrase"] = phrase.as_html if html else phrase.as_markdown
    environment.filters["visible"] = escape.visible
    return environment
