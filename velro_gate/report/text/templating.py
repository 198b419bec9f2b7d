"""The templates shipped in this package; a name that a template misspells is an error, never an empty place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import Any, Protocol

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    DictLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    Template,
    TemplateError,
    pass_environment,
)
from jinja2.exceptions import SecurityError
from jinja2.filters import do_sum
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from velro_gate.errors import UsageError
from velro_gate.report.text import escape, figures, phrase

LARGEST = 20_000_000
"""Characters that a template of one's own may write: ten times the largest page."""

Limits = Callable[[], AbstractContextManager[None]]
"""In the block that it opens, a template is ended that takes too much time or memory."""

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
    """Templates that stand over those of the package; without a loader: only the package's."""

    place: str = ""
    loader: BaseLoader | None = None
    complain: Callable[[UsageError], None] | None = None
    limits: Limits = nullcontext
    said: set[str] = field(default_factory=set)
    """What was complained of: a comment is rendered several times until it fits."""
    given_up: set[str] = field(default_factory=set)
    """Files that failed, and are not tried again: each try may take as long as the limits allow."""


_OWN = _Own()


def use_templates(
    own: str | Mapping[str, str],
    place: str = "",
    complain: Callable[[UsageError], None] | None = None,
    limits: Limits = nullcontext,
) -> None:
    """From now on these templates stand over those of the package, which they extend as ``velro/NAME``.

    own: a folder, or texts by file name; empty: none do. place: what errors name, the folder by default. complain: gets what is
    wrong with one of them, and the package's own is used instead, so that no verdict waits for a template; None: it is raised.
    limits: what each of them may take.
    """
    _OWN.limits = limits
    _OWN.loader = (FileSystemLoader(own) if isinstance(own, str) else DictLoader(own)) if own else None
    _OWN.place, _OWN.complain = place or (own if isinstance(own, str) else ""), complain
    _OWN.said.clear()
    _OWN.given_up.clear()
    template.cache_clear()


@cache
def template(file: str) -> Template:
    """A template by its file name; HTML is escaped by default, markdown by the filters ``md`` and ``name``."""
    return _environment(html=_is_html(file), own=_OWN.loader).get_template(file)


def _is_html(file: str) -> bool:
    return file.endswith((".html.j2", ".svg.j2"))


def rendered(file: str, values: Mapping[str, Any]) -> str:
    """What a template makes of these values.

    Raises:
        UsageError: a template of the folder that stands over the package's cannot be used.
    """
    if file in _OWN.given_up:
        return by_package(file, values)
    try:
        with _OWN.limits():
            return _written(file, values)
    except Exception as error:
        # What a template computes can fail in any way; one of the package's own that does is a fault of ours.
        if _OWN.loader is None:
            raise
        why = (error.message or "") if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        refuse(str(getattr(error, "name", None) or file), why, error)
        _OWN.given_up.add(file)
    return by_package(file, values)


def _written(file: str, values: Mapping[str, Any]) -> str:
    """What a template makes of these values; what somebody else wrote may write without end."""
    if _OWN.loader is None:
        return template(file).render(values)
    pieces, size = list[str](), 0
    for piece in template(file).generate(values):
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST:
            raise SecurityError(f"it writes more than {LARGEST} characters")
    return "".join(pieces)


def by_package(file: str, values: Mapping[str, Any]) -> str:
    """What the package's own template makes of these values, whatever stands over it."""
    return _environment(html=_is_html(file), own=None).get_template(file).render(values)


def refuse(file: str, why: str, cause: Exception | None = None) -> None:
    """Say that a template of one's own cannot be used, once for each reason.

    Raises:
        UsageError: nobody was named to whom that is said.
    """
    wrong = UsageError("a template cannot be used", where=f"{_OWN.place}/{file}", why=why, hint=_TEMPLATES)
    if _OWN.complain is None:
        raise wrong from cause
    if f"{file}: {why}" not in _OWN.said:
        _OWN.said.add(f"{file}: {why}")
        _OWN.complain(wrong)


def shipped(file: str) -> str:
    """A file next to the templates, as it is."""
    return text_of(PackageLoader("velro_gate.report"), file)


def text_of(loader: BaseLoader, file: str) -> str:
    """What a loader of templates has under a name, as it is.

    Raises:
        TemplateNotFound: it has nothing.
    """
    return loader.get_source(_environment(html=False, own=None), file)[0]


_MOST_BITS = 4_096


@pass_environment
def _sum(environment: Environment, values: Iterable[Any], attribute: str | int | None = None, start: object = 0) -> Any:
    """Jinja's own, from a number on: lists would be put together in one call that nothing ends.

    Raises:
        SecurityError: it does not start at a number.
    """
    if not isinstance(start, int | float):
        raise SecurityError("templates add up numbers only")
    return do_sum(environment, values, attribute, start)


class _Sandbox(SandboxedEnvironment):
    """For templates that somebody else wrote."""

    # One power, or one product of huge numbers, can take hours, and nothing ends it.
    intercepted_binops = frozenset({"**", "*", "//", "%"})

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> Any:
        """What an operator that is intercepted makes of these.

        Raises:
            SecurityError: it is a power, or both are numbers and one is huge.
        """
        if operator == "**":
            raise SecurityError("templates compute no powers")
        if isinstance(left, int) and isinstance(right, int) and max(left.bit_length(), right.bit_length()) > _MOST_BITS:
            raise SecurityError("templates do not compute with numbers of more than a thousand digits")
        return super().call_binop(context, operator, left, right)


def _environment(*, html: bool, own: BaseLoader | None) -> Environment:
    package = PackageLoader("velro_gate.report")
    # Whoever brings templates need not be whoever owns this process: they reach what they are given, and nothing else.
    kind = Environment if own is None else _Sandbox
    environment = kind(
        loader=ChoiceLoader([*([] if own is None else [own]), package, PrefixLoader({"velro": package})]),
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
    if own is not None:
        environment.filters["sum"] = _sum
    return environment
