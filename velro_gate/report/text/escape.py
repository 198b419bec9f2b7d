"""Text from outside, made harmless for each place it is shown in.

Phase and step names come from a scenario, error texts from a service, branch names from a fork: none of them may start a
table column, a link, a mention or a terminal sequence (nor a formula: ``csv_text``). GitHub links mentions and issue numbers
after it has rendered the markdown, so a backslash does not stop it; an invisible joiner between the sign and the name does.
"""

from __future__ import annotations

import re

JOINER = "&#8203;"
"""A zero-width space as an entity: seen by GitHub's linkers, invisible to people."""

_SPECIAL = re.compile(r"([\\`*\[\]|~$])")
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_BLOCK_START = re.compile(r"^(\s*)([-+=#>:/]|\d+[.)])")
_PLAIN_NAME = re.compile(r"[\w .:/<>=%+,()@#~-]+")
_UNIT = re.compile(r"(?<=\d) (?=(?:[µm]?s|min|h|%|[KMGT]i?B|points)\b|%)|(?<=[≥≤]) |(?<=&[lg]t;) (?=\d)")
_URL = re.compile(r"https?://[^\s<>\"'`\\^{}|]+", re.IGNORECASE)


def visible(text: str) -> str:
    """The text on one line, without control, direction-changing or other invisible characters."""
    return " ".join(without_controls(text).split())


def without_controls(text: str) -> str:
    """The same with its spaces as they are, for pieces of a sentence that join one another."""
    # Not printable: control, format (bidi overrides, zero-width), lone surrogates, separators other than the space.
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


def markdown_text(text: str) -> str:
    """Prose inside a line of a GitHub comment or in a cell of its tables; shows exactly the text, links nothing."""
    # The ampersand first: it would escape the entities that the other two become.
    clean = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    clean = _SPECIAL.sub(r"\\\1", clean)
    clean = _UNDERSCORE.sub(r"\\_", clean)
    # @name notifies somebody and #12 links an issue, wherever they stand.
    clean = re.sub(r"(?<=[@#])(?=\w)", JOINER, clean)
    # GitHub links bare addresses, www. and GH-12 as well.
    return re.sub(r"(?i)(?<=:)(?=//)|(?<=www)(?=\.)|(?<=gh)(?=-\d)", JOINER, clean)


def markdown_line(text: str) -> str:
    """The same for text at the start of a line or of a list item, where it must not open a list, a heading or a quote.

    Nor a slash: GitLab does what such a line in a note says (``/close``).
    """
    return _BLOCK_START.sub(_escaped_start, markdown_text(text))


def _escaped_start(match: re.Match[str]) -> str:
    opener = match[2]
    return f"{match[1]}{opener[:-1]}\\{opener[-1]}"


def markdown_name(name: str) -> str:
    """An identifier as a code span; one that a code span could not hold safely in a table becomes escaped prose."""
    clean = visible(name)
    return f"`{clean}`" if clean and _PLAIN_NAME.fullmatch(clean) else markdown_text(clean)


def markdown_link(label: str, url: str) -> str:
    """A link to an http address; only its label when the address is of any other kind."""
    if _URL.fullmatch(url) is None:
        return markdown_text(label)
    # In angle brackets an address may hold parentheses, which would end it.
    return f"[{markdown_text(label)}](<{url}>)"


def bound(text: str) -> str:
    """The text with figures bound to their units and signs, so that no line breaks between them."""
    return _UNIT.sub("\N{NO-BREAK SPACE}", text)


def cell(text: str) -> str:
    """A short cell of a markdown table: it may break before a parenthesis and nowhere else."""
    return re.sub(r" (?!\()", "\N{NO-BREAK SPACE}", markdown_text(text))


def marker_key(*names: str) -> str:
    """A key that cannot end the HTML comment it stands in: letters, digits, dots, single dashes, and slashes between names."""
    parts = (re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._-]", "-", part)).strip("-") or "none" for part in names)
    return "/".join(parts)
