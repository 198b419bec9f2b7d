"""What a step makes of an answer: expected status, checks on the body, captured values, cookies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from velro_gate.engine.wire import AnswerReader
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import BodyCheck, Capture, ContainsCheck, JsonCheck, Step

_PART = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_NOTHING = object()


def json_value(document: object, path: str) -> object:
    """The value at a path such as ``$.items[0].id``; a private marker when there is none."""
    found = document
    for name, number in _PART.findall(path):
        if name and isinstance(found, dict) and name in found:
            found = found[name]
        elif number and isinstance(found, list) and int(number) < len(found):
            found = found[int(number)]
        else:
            return _NOTHING
    return found


def outcome_of(step: Step, reader: AnswerReader, captured: dict[str, str]) -> Outcome:
    """Judge a whole answer, and put what the step captures into ``captured``."""
    if reader.status not in step.expect_status:
        return Outcome.STATUS
    if not step.checks and not step.captures:
        return Outcome.OK
    body = b"".join(reader.body)
    document: object = _NOTHING
    if any(isinstance(check, JsonCheck) for check in step.checks) or any(c.source == "json" for c in step.captures):
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = _NOTHING
    if not all(_holds(check, body, document) for check in step.checks):
        return Outcome.CHECK
    for capture in step.captures:
        value = _captured(capture, document, reader)
        if value is None:
            return Outcome.CAPTURE
        captured[capture.name] = value
    return Outcome.OK


def _holds(check: BodyCheck, body: bytes, document: object) -> bool:
    match check:
        case ContainsCheck(text=text):
            return text.encode() in body
        case JsonCheck(path=path, equals=equals, has_expected=has_expected):
            value = json_value(document, path)
            if value is _NOTHING:
                return False
            # True equals 1 in Python, but not in JSON.
            return not has_expected or (value == equals and isinstance(value, bool) is isinstance(equals, bool))


def _captured(capture: Capture, document: object, reader: AnswerReader) -> str | None:
    match capture.source:
        case "json":
            value = json_value(document, capture.path)
            if value is _NOTHING or value is None:
                return None
            return value if isinstance(value, str) else json.dumps(value)
        case "header":
            found = reader.captured.get(capture.path.lower().encode())
            return None if found is None else found.decode("latin-1")
        case "cookie":
            return cookies_of(reader).get(capture.path)


def cookies_of(reader: AnswerReader) -> Mapping[str, str]:
    """Cookies that an answer sets, by name; an empty value where it deletes one."""
    made: dict[str, str] = {}
    for line in reader.cookies:
        pair, *attributes = line.decode("latin-1").split(";")
        name, _, value = pair.partition("=")
        name = name.strip()
        if not name:
            continue
        gone = any(attribute.strip().lower() in ("max-age=0", "max-age=-1") for attribute in attributes)
        made[name] = "" if gone else value.strip()
    return made
