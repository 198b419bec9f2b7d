"""YAML text -> plain values that know their lines.

A scenario needs mappings, lists and words only, so this reads YAML's events itself instead of building objects: no tag is
obeyed, plain words follow the YAML 1.2 core schema (``on`` and ``1:30`` stay text), keys are always text, and the size of the
expanded document is bounded before anything is expanded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import yaml

from velro_gate.scenario.syntax.faults import Faults
from velro_gate.units import format_count

MOST_CHARACTERS = 1_000_000
"""Of a file; a long scenario has some ten thousand."""
MOST_DEPTH = 40
"""Levels: the reader calls itself for each, and Python's own limit would end in a traceback."""
MOST_VALUES = 20_000
"""Bounds of one file; the largest sensible scenario stays a hundred times below them."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,29})")
"""Thirty digits at most: Python refuses to read thousands of them (CVE-2020-10735), and no quantity needs more."""
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)?\.[0-9]+([eE][-+]?[0-9]+)?|(0|[1-9][0-9]*)\.?[eE][-+]?[0-9]+)")
_NULLS = ("", "~", "null", "Null", "NULL")
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

LinedValue = object
"""None, bool, int, float, str, LinedDict or LinedList."""


class LinedDict(dict[str, LinedValue]):
    """A mapping that knows on which line it and each of its keys stands (counted from 1).

    written: how a number or flag stands in the file, by its key: ``1.10`` is the number 1.1, and another text than it.
    """

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}
        self.written: dict[str, str] = {}


class LinedList(list[LinedValue]):
    """A list that knows on which line it and each of its items stands (counted from 1).

    written: how a number or flag stands in the file, by its index.
    """

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []
        self.written: dict[int, str] = {}


def line_of(value: LinedValue, path: Sequence[object] = ()) -> int:
    """The line of the deepest place on the path that exists below ``value``; 1 when nothing is known.

    Parts that do not exist are passed over, since pydantic puts the names of alternatives among the keys.
    """
    line = value.line if isinstance(value, LinedDict | LinedList) else 1
    for part in path:
        if holds(value, part):
            line, value = value.lines[part], value[part]  # type: ignore[attr-defined, index]
    return line


def holds(value: LinedValue, part: object) -> bool:
    """Whether ``value[part]`` exists."""
    if isinstance(value, LinedDict):
        return part in value
    return isinstance(value, LinedList) and isinstance(part, int) and part < len(value)


def read_tree(text: str, faults: Faults, *, may_be_empty: bool = False) -> LinedValue:
    """The document's value; None, with at least one fault added, when the text cannot be read as one document.

    may_be_empty: whether None is also the value of an empty one, without a fault.
    """
    if len(text) > MOST_CHARACTERS:
        faults.add(1, f"the file has more than {format_count(MOST_CHARACTERS)} characters, which is too many")
        return None
    builder = _Builder(text, faults)
    try:
        value = builder.document()
        if value is None and not may_be_empty:
            faults.add(1, "the file is empty", "start from scenarios/velro-prd.yaml")
        return value
    except _UnreadableError as unreadable:
        faults.add(unreadable.line, unreadable.what, unreadable.suggestion)
    except yaml.MarkedYAMLError as error:
        faults.add(*_syntax(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        faults.add(line, f"the character #x{ord(text[error.position]):04x} is not allowed in YAML")
    return None


class _UnreadableError(Exception):
    """The document cannot be read any further."""

    def __init__(self, line: int, what: str, suggestion: str | None = None) -> None:
        super().__init__(what)
        self.line, self.what, self.suggestion = line, what, suggestion


_ADVICE = (
    ("mapping values", "quote a text that holds ': '"),
    ("flow", "quote a text that holds '{', '}', '[', ']' or ','"),
    ("block scalar", "quote a text that starts with '>' or '|'"),
    ("quoted scalar", "close the quote that opens here"),
)


def _syntax(error: yaml.MarkedYAMLError) -> tuple[int, str, str | None]:
    problem, context = error.problem or "unreadable", error.context or ""
    mark = error.problem_mark or error.context_mark
    # A quote that never closes is noticed at the end of the file; where it opens is what the reader wants.
    if "end of stream" in problem and error.context_mark is not None:
        mark = error.context_mark
    line = mark.line + 1 if mark else 1
    if mark is not None and mark.buffer is not None and mark.buffer[mark.pointer : mark.pointer + 1] == "\t":
        return line, "a tab stands where YAML wants spaces", "indent with spaces"
    hint = next((advice for sign, advice in _ADVICE if sign in problem or sign in context), None)
    return line, f"not valid YAML{' ' * bool(context)}{context}: {problem}", hint


class _Builder:
    """Turns events into values. Every method returns a value with its weight: how many values it holds once expanded."""

    def __init__(self, text: str, faults: Faults) -> None:
        self._events = _events_of(text)
        self._faults = faults
        # With each anchor the word that it stands for, if it is one.
        self._anchors: dict[str, tuple[LinedValue, int, str]] = {}
        self._word = ""

    def document(self) -> LinedValue:
        """The one document of the file; None where it is empty."""
        value: LinedValue = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _UnreadableError(_line(event), "a second document starts here", "a file holds one: remove '---'")
                value, _ = self._value(next(self._events), 0)
        return value

    def _value(self, event: yaml.Event, depth: int) -> tuple[LinedValue, int]:
        if depth > MOST_DEPTH:
            raise _UnreadableError(_line(event), f"nested deeper than {MOST_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._faults.add(_line(event), f"the tag {tag!r} is not allowed", "tags are not supported: write the plain value")
        # Checked after building, which costs nothing for an alias: expanded values share their objects, so only their number
        # has to be bounded ("billion laughs").
        built = self._build(event, depth)
        if built[1] > MOST_VALUES:
            raise _UnreadableError(
                _line(event), f"expands to more than {format_count(MOST_VALUES)} values", "use fewer anchors"
            )
        anchor = getattr(event, "anchor", None)
        # Known only from here on, so an anchor cannot stand within itself.
        if anchor is not None:
            self._anchors[anchor] = *built, self._word
        return built

    def _build(self, event: yaml.Event, depth: int) -> tuple[LinedValue, int]:
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, depth)
        assert isinstance(event, yaml.ScalarEvent)
        self._word = event.value
        return (_plain(event.value) if event.implicit[0] else self._text(event)), 1

    def _text(self, event: yaml.ScalarEvent) -> str:
        """A quoted text. JSON writes a rare character as two escapes, which YAML leaves as two halves."""
        text: str = event.value
        if text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text):
            return text
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self._faults.add(_line(event), "this text contains half a character, which cannot be sent")
            return ""

    def _alias(self, event: yaml.AliasEvent) -> tuple[LinedValue, int]:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            raise _UnreadableError(_line(event), f"*{event.anchor} names no anchor that stands complete above it")
        self._word = known[2]
        return known[:2]

    def _mapping(self, start: yaml.MappingStartEvent, depth: int) -> tuple[LinedDict, int]:
        built, weight = LinedDict(_line(start)), 1
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event)
            value, more = self._value(next(self._events), depth + 1)
            weight += more
            if key is None:
                continue
            if key in built:
                self._faults.add(_line(event), f"the key {key!r} is given twice", f"first on line {built.lines[key]}")
            else:
                built[key], built.lines[key] = value, _line(event)
                if isinstance(value, int | float):
                    built.written[key] = self._word
        return built, weight

    def _key(self, event: yaml.Event) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            if event.value == "<<" and event.implicit[0]:
                self._faults.add(_line(event), "merge keys (<<) are not read", "repeat the keys, or use 'headers:' at the top")
                return None
            return self._text(event)
        raise _UnreadableError(_line(event), "a key must be a word", "quote a text that starts with '{', '[', '*' or '?'")

    def _list(self, start: yaml.SequenceStartEvent, depth: int) -> tuple[LinedList, int]:
        built, weight = LinedList(_line(start)), 1
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            value, more = self._value(event, depth + 1)
            weight += more
            if isinstance(value, int | float):
                built.written[len(built)] = self._word
            built.append(value)
            built.lines.append(_line(event))
        return built, weight


_LIBYAML: Any = getattr(yaml, "CSafeLoader", None)
"""The library's parser in C, ten times as fast as the one in Python; None where it was built without."""


def _events_of(text: str) -> Iterator[yaml.Event]:
    """As ``yaml.parse``, by libyaml as far as that can read; whatever it cannot is read, or refused, by the parser in Python,
    whose words the faults are made of.
    """
    read = 0
    # Only libyaml takes a tab, or in brackets a question mark, inside a plain word.
    if _LIBYAML is not None and "\t" not in text and "?" not in text:
        try:
            loader = _LIBYAML(text)
            while loader.check_event():
                event = loader.get_event()
                read += 1
                yield event
            return
        except (yaml.YAMLError, UnicodeEncodeError):
            pass
    # Both parsers give the same events up to where libyaml gave up, so those that were handed on are passed over.
    yield from islice(_events_in_python(text), read, None)


def _events_in_python(text: str) -> Iterator[yaml.Event]:
    """With what the library does not catch itself: escapes beyond Unicode, thousands of digits."""
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_event():
            yield loader.get_event()  # type: ignore[no-untyped-call]
    except (ValueError, OverflowError) as error:
        what = "an escape stands for no character, or a number in a directive is too long"
        raise _UnreadableError(loader.line + 1, what, "the last character is \\U0010FFFF") from error
    finally:
        loader.dispose()


def as_written(value: LinedValue) -> None:
    """Make texts of the numbers and flags of a mapping or list, each as it stands in the file; anything else stays."""
    if isinstance(value, LinedDict | LinedList):
        for place, word in value.written.items():
            value[place] = word  # type: ignore[index]
        value.written.clear()


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark is not None else 1


def _plain(word: str) -> LinedValue:
    """A word without quotes, by the YAML 1.2 core schema; numbers with a leading zero stay text, being identifiers."""
    if word in _NULLS:
        return None
    if word in _FLAGS:
        return _FLAGS[word]
    if _INTEGER.fullmatch(word):
        return int(word)
    if _FLOAT.fullmatch(word) and math.isfinite(float(word)):
        return float(word)
    return word
