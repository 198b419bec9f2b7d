"""StepSpec -> Step, and whether what a step says can be sent and read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from velro_gate.model.scenario import (
    ALL_STEPS,
    Body,
    BodyCheck,
    Capture,
    ContainsCheck,
    JsonCheck,
    Step,
)
from velro_gate.scenario.syntax.faults import Faults
from velro_gate.scenario.syntax.shape import CaptureSpec, CheckSpec, StepSpec
from velro_gate.scenario.syntax.templates import RESERVED, Vocabulary, check_template
from velro_gate.scenario.syntax.tree import LinedDict, LinedList

JSON_TYPE = "application/json"
JSON_PATH = re.compile(r"\$(\.[A-Za-z_][A-Za-z0-9_-]*|\[(0|[1-9][0-9]{0,6})\])*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The characters of a header's name (RFC 9110, 5.6.2)."""
Lines = Callable[[str], int]
_ENGINE_HEADERS = frozenset(
    {"content-type", "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)
"""Headers that frame the message or the connection: the engine sets them from what it sends, and two that disagree are how
requests are smuggled (RFC 9112, 11.2).
"""


def step_from(spec: StepSpec, shared: Mapping[str, str]) -> Step:
    """The step as the engine takes it; ``shared`` headers stand below its own, which win without regard to case.

    Raises:
        ValueError: when the step breaks an invariant of the model.
    """
    own = {name.lower() for name in spec.headers}
    headers = {**{name: value for name, value in shared.items() if name.lower() not in own}, **spec.headers}
    return Step(
        name=spec.name,
        method=spec.method,
        path=spec.path or "/",
        probability=spec.probability,
        headers=tuple(headers.items()),
        query=tuple(spec.query.items()),
        body=_body(spec),
        expect_status=frozenset(spec.expect),
        checks=tuple(_check(check) for check in spec.checks),
        captures=tuple(_capture(name, capture) for name, capture in spec.capture.items()),
        timeout=spec.timeout,
    )


def _body(spec: StepSpec) -> Body | None:
    if "json_body" in spec.model_fields_set:
        # Sorted, so that the order of keys in the file changes neither the bytes sent nor the digest.
        text = json.dumps(spec.json_body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return Body(template=text, content_type=spec.content_type or JSON_TYPE, chunked=spec.chunked)
    if spec.body is not None:
        return Body(template=spec.body, content_type=spec.content_type or "text/plain; charset=utf-8", chunked=spec.chunked)
    return None


def _check(spec: CheckSpec) -> BodyCheck:
    if "contains" in spec.model_fields_set:
        return ContainsCheck(text=spec.contains)
    return JsonCheck(path=spec.json_path, equals=spec.equals, has_expected="equals" in spec.model_fields_set)


def _capture(name: str, spec: CaptureSpec) -> Capture:
    if "header" in spec.model_fields_set:
        return Capture(name=name, source="header", path=spec.header)
    if "cookie" in spec.model_fields_set:
        return Capture(name=name, source="cookie", path=spec.cookie)
    return Capture(name=name, source="json", path=spec.json_path)


_OF_A_LABEL = {"name", "expect", "timeout", "headers", "limits"}
GOOD_STATUSES = range(200, 400)
"""What a journey written in Python may be answered unless its step says otherwise."""


def label_from(spec: StepSpec, shared: Mapping[str, str]) -> Step:
    """The step under which requests of a journey written in Python are counted."""
    step = step_from(spec, shared)
    return step if "expect" in spec.model_fields_set else replace(step, expect_status=frozenset(GOOD_STATUSES))


def check_label(spec: StepSpec, known: Vocabulary, faults: Faults) -> None:
    """Adds everything that is wrong with a step which only says what a journey's requests are counted under."""
    _check_name(spec, faults)
    for name in sorted(spec.model_fields_set - _OF_A_LABEL):
        key = StepSpec.model_fields[name].alias or name
        faults.add(
            spec.line(key), f"{key!r} has no meaning together with 'journey', whose code makes the requests", "remove it"
        )
    check_headers(spec.headers, lambda name: spec.line("headers", name), faults)
    for name, value in spec.headers.items():
        check_template(value, known, faults.at(spec.line("headers", name)))


def _check_name(spec: StepSpec, faults: Faults) -> None:
    if spec.name == ALL_STEPS:
        faults.add(spec.line("name"), f"no step may be called {ALL_STEPS!r}", "that name stands for all steps together")


def check_step(spec: StepSpec, known: Vocabulary, faults: Faults) -> None:
    """Adds everything that is wrong with one step, given the names that exist when it is sent."""
    _check_name(spec, faults)
    _check_path(spec, faults)
    check_headers(spec.headers, lambda name: spec.line("headers", name), faults)
    _check_body(spec, faults)
    _check_json_paths(spec, faults)
    for index, check in enumerate(spec.checks):
        # Checks are compiled once for all users.
        if "${" in f"{check.contains} {check.equals}":
            faults.add(spec.line("checks", index), "a check compares with fixed text, so a placeholder would never match")
    _check_captures(spec, known, faults)
    for name in spec.query:
        if "${" in name:
            faults.add(spec.line("query", name), "placeholders are allowed only in the values of a query")
    for line, text in _templates(spec):
        check_template(text, known, faults.at(line))


def _templates(spec: StepSpec) -> Iterator[tuple[int, str]]:
    yield spec.line("path"), spec.path
    yield from ((spec.line("headers", name), value) for name, value in spec.headers.items())
    yield from ((spec.line("query", name), value) for name, value in spec.query.items())
    if spec.body is not None:
        yield spec.line("body"), spec.body
    yield from _texts_in(spec.json_body, spec.line("json"))


def _texts_in(value: object, line: int) -> Iterator[tuple[int, str]]:
    """Every text inside a JSON body, keys included, with its line."""
    if isinstance(value, str):
        yield line, value
    elif isinstance(value, dict):
        for name, item in value.items():
            at = value.lines[name] if isinstance(value, LinedDict) else line
            yield at, name
            yield from _texts_in(item, at)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts_in(item, value.lines[index] if isinstance(value, LinedList) else line)


def check_path(path: str, line: int, faults: Faults) -> None:
    """Adds a fault when a path cannot stand in a request line."""
    if not path.startswith("/"):
        faults.add(line, f"the path {path!r} does not start with '/'", "the host belongs to target.url")
    if "?" in path:
        faults.add(line, "the path contains a query", "write its parameters under 'query:', where they are encoded")
    if "#" in path or any(ord(letter) <= 0x20 or ord(letter) >= 0x7F for letter in path):
        faults.add(line, f"the path {path!r} contains a character that must be percent-encoded", "a space is %20")


def _check_path(spec: StepSpec, faults: Faults) -> None:
    # Where none is given, the reader says so: it knows whether one is written that cannot be read.
    if "path" in spec.model_fields_set:
        check_path(spec.path, spec.line("path"), faults)


def check_headers(headers: Mapping[str, str], line: Lines, faults: Faults) -> None:
    """Adds a fault for every header that cannot be sent; ``line`` gives a header's line."""
    seen: dict[str, str] = {}
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            faults.add(line(name), f"{name!r} is not a header name")
        if name.lower() in _ENGINE_HEADERS:
            hint = "write 'content_type:' next to the body" if name.lower() == "content-type" else "remove it"
            faults.add(line(name), f"the header {name!r} is set by the engine", hint)
        if any(letter in value for letter in "\r\n\0"):
            faults.add(line(name), f"the value of header {name!r} contains a line break")
        # RFC 9110, 5.5: other bytes have no defined meaning, and servers differ in what they make of them.
        elif not (value.isascii() and value.isprintable()):
            faults.add(
                line(name), f"the value of header {name!r} holds a character that headers cannot carry", "use ASCII only"
            )
        if name.lower() in seen:
            faults.add(line(name), f"the header {name!r} is given twice", f"also written {seen[name.lower()]!r}")
        seen[name.lower()] = name


def _check_body(spec: StepSpec, faults: Faults) -> None:
    given = spec.model_fields_set
    if "json_body" in given and spec.body is not None:
        faults.add(spec.line("body"), "a step has either 'json' or 'body', not both")
    for key in ("content_type", "chunked"):
        if key in given and spec.body is None and "json_body" not in given:
            faults.add(spec.line(key), f"{key!r} belongs to a 'body' or 'json'")
    if "json_body" in given and spec.content_type is not None and "json" not in spec.content_type:
        faults.add(
            spec.line("content_type"), f"{spec.content_type!r} is not a kind of JSON", "write the text under 'body' instead"
        )
    if not (spec.content_type or "").isascii() or not (spec.content_type or "").isprintable():
        faults.add(
            spec.line("content_type"), "the content_type contains a character that headers cannot carry", "use ASCII only"
        )
    # RFC 9110, 9.3.2: content in a HEAD request has no meaning, and some servers close the connection on it.
    if spec.method in ("HEAD", "OPTIONS") and ("json_body" in given or spec.body is not None):
        faults.add(spec.line("method"), f"{spec.method} carries no body", "did you mean 'POST'?")
    for line, word in _signed(spec.json_body, spec.line("json"), spec.written("json")):
        hint = f"write '{word}' in quotes if it is a text, else without the sign"
        faults.add(line, f"JSON has no number {word}, and {word[1:]} would be a different text", hint)
    if not _is_finite(spec.json_body):
        faults.add(spec.line("json"), "the JSON body contains a number that JSON cannot represent")


def _signed(value: object, line: int, word: str = "") -> Iterator[tuple[int, str]]:
    """Every number of a JSON body that is written with a plus, as telephone numbers are, with its line."""
    if word.startswith("+"):
        yield line, word
    if isinstance(value, LinedDict):
        for name, item in value.items():
            yield from _signed(item, value.lines[name], value.written.get(name, ""))
    elif isinstance(value, LinedList):
        for index, item in enumerate(value):
            yield from _signed(item, value.lines[index], value.written.get(index, ""))


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_is_finite(item) for item in value.values())
    return all(_is_finite(item) for item in value) if isinstance(value, list) else True


def _check_json_paths(spec: StepSpec, faults: Faults) -> None:
    places = [
        (spec.line("checks", index), each.json_path)
        for index, each in enumerate(spec.checks)
        if "json_path" in each.model_fields_set
    ]
    places += [
        (spec.line("capture", name), each.json_path)
        for name, each in spec.capture.items()
        if "json_path" in each.model_fields_set
    ]
    for line, path in places:
        if not JSON_PATH.fullmatch(path):
            # As jq and many languages write an index: items.0.id.
            better = "$." + re.sub(r"\.(\d+)", r"[\1]", path.lstrip("$."))
            hint = f"did you mean {better!r}?" if JSON_PATH.fullmatch(better) and ".." not in path else None
            faults.add(line, f"{path!r} is not a JSON path such as $.items[0].id", hint)


def _check_captures(spec: StepSpec, known: Vocabulary, faults: Faults) -> None:
    for name in spec.capture:
        if name in RESERVED or name in known.feeders:
            what = "a feeder" if name in known.feeders else "a built-in placeholder"
            faults.add(spec.line("capture", name), f"the capture {name!r} is also the name of {what}", "choose another name")
