"""A sentence as pieces, so that one wording reads well in markdown, HTML and a terminal alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape

from velro_gate.report.text.escape import bound, markdown_line, markdown_name, markdown_text, visible, without_controls

Style = Literal["text", "name", "strong"]


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A run of text in one style: prose, an identifier, or what the eye should catch first."""

    text: str
    style: Style = "text"


Phrase = tuple[TextSpan, ...]


def text(words: str) -> TextSpan:
    """Prose."""
    return TextSpan(without_controls(words))


def name(identifier: str) -> TextSpan:
    """A phase, a step or anything else that is written exactly so elsewhere."""
    return TextSpan(visible(identifier), "name")


def strong(words: str) -> TextSpan:
    """The few words that matter most."""
    return TextSpan(without_controls(words), "strong")


def plain(phrase: Phrase) -> str:
    """The bare words."""
    return "".join(piece.text for piece in phrase)


def as_markdown(phrase: Phrase) -> str:
    """GitHub markdown, everything from outside escaped."""
    return bound("".join(_markdown_piece(piece, first=index == 0) for index, piece in enumerate(phrase)))


def _markdown_piece(piece: TextSpan, *, first: bool) -> str:
    if piece.style == "name":
        return markdown_name(piece.text)
    # Escaping works on whole lines; the spaces that join pieces are put back around it.
    core = piece.text.strip()
    lead = piece.text[: len(piece.text) - len(piece.text.lstrip())]
    tail = piece.text[len(piece.text.rstrip()) :] if core else ""
    escaped = markdown_line(core) if first else markdown_text(core)
    return f"{lead}**{escaped}**{tail}" if piece.style == "strong" and core else f"{lead}{escaped}{tail}"


def as_html(phrase: Phrase) -> Markup:
    """HTML with identifiers as code and the strong words as strong."""
    return Markup("").join(_html_piece(piece) for piece in phrase)


def _html_piece(piece: TextSpan) -> Markup:
    match piece.style:
        case "name":
            return Markup("<code>{}</code>").format(piece.text)
        case "strong":
            return Markup("<strong>{}</strong>").format(bound(piece.text))
        case "text":
            return escape(bound(piece.text))
