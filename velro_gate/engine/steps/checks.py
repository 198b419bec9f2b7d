"""What is looked at in an expected answer: checks on its body, and values captured from it."""

from __future__ import annotations

import json
import re
from collections.abc import MutableMapping

from velro_gate.engine.http.codings import CONTENT_ENCODING, LIGHT, CodingError, TooLongError, decoded
from velro_gate.engine.http.responses import Response
from velro_gate.engine.steps.cookies import cookie_pair
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import Capture, ContainsCheck, JsonCheck, Step
from velro_gate.units import format_count

JsonPath = tuple[str | int, ...]

_PART = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]")
_ABSENT = object()
_MOST_CAME = 1_000

MOST_CAPTURED = 64 * 2**10
"""Characters of a value: each user keeps its own, and sends it with each request that needs it."""


def json_path(text: str) -> JsonPath:
    """``$.items[0].id`` -> ("items", 0, "id").

    Raises:
        ValueError: it is not a path of this kind.
    """
    parts: list[str | int] = []
    end = 1
    if not text.startswith("$"):
        raise ValueError(f"{text!r} is not a JSON path such as $.items[0].id")
    while end < len(text):
        match = _PART.match(text, end)
        if match is None:
            raise ValueError(f"{text!r} is not a JSON path such as $.items[0].id")
        parts.append(match[1] if match[1] is not None else int(match[2]))
        end = match.end()
    return tuple(parts)


def value_at(document: object, path: JsonPath) -> object:
    """The value at a path, or a mark that stands for nothing being there."""
    for part in path:
        if isinstance(part, str):
            if not isinstance(document, dict) or part not in document:
                return _ABSENT
            document = document[part]
        elif isinstance(document, list) and part < len(document):
            document = document[part]
        else:
            return _ABSENT
    return document


class Inspection:
    """The checks and captures of one step. fault: of the response that was looked at last, what was wrong with it, in words."""

    def __init__(self, step: Step) -> None:
        self._checks = [(json_path(c.path), c) for c in step.checks if isinstance(c, JsonCheck)]
        self._texts = [c.text.encode() for c in step.checks if isinstance(c, ContainsCheck)]
        self._captures = [(c, json_path(c.path) if c.source == "json" else ()) for c in step.captures]
        self._wants_json = bool(self._checks) or any(c.source == "json" for c in step.captures)
        self.wants_body = self._wants_json or bool(self._texts)
        self.fault = ""
        self._found: object = _ABSENT

    def __call__(
        self, answer: Response, captured: MutableMapping[str, str], unpacked: bytes | CodingError | None = None
    ) -> Outcome | None:
        """OK, CHECK, CAPTURE, or PROTOCOL for a body that cannot be decompressed; values found are put into ``captured``.

        None: the body is long once it is unpacked, so ``unpack`` has to be called outside the loop, and this again with what
        comes of it.
        """
        self._found = _ABSENT
        body: bytes | CodingError = b"".join(answer.body or ())
        if unpacked is not None:
            body = unpacked
        elif self.wants_body and answer.captured:
            try:
                body = decoded(b"".join(answer.body or ()), _coding(answer), LIGHT)
            except TooLongError:
                return None
            except CodingError as error:
                body = error
        if isinstance(body, CodingError):
            self.fault = str(body)
            return Outcome.PROTOCOL
        document = _parsed(body) if self._wants_json else _ABSENT
        if not self._holds(body, document):
            return Outcome.CHECK
        outcome = Outcome.OK
        for capture, path in self._captures:
            found = _captured(capture, path, answer, document)
            if found is not None and len(found) <= MOST_CAPTURED:
                captured[capture.name] = found
            elif outcome is Outcome.OK:
                outcome = Outcome.CAPTURE
                of = f"{capture.name} from {capture.source} {capture.path}"
                self.fault = (
                    f"nothing to capture as {of}"
                    if found is None
                    else f"{format_count(len(found))} characters are too many for {of}"
                )
        return outcome

    @staticmethod
    def unpack(answer: Response) -> bytes | CodingError:
        """The whole body, or what is wrong with it. This may take long, and touches nothing else."""
        try:
            return decoded(b"".join(answer.body or ()), _coding(answer))
        except CodingError as error:
            return error

    def _holds(self, body: bytes, document: object) -> bool:
        """Whether all checks hold; otherwise ``fault`` names the first that does not."""
        for text in self._texts:
            if text not in body:
                self.fault = f"the body does not contain {text.decode()!r}"
                return False
        for path, check in self._checks:
            found = value_at(document, path)
            if not _holds(check, found):
                self._found = found
                there = f"must be {json.dumps(check.equals)}" if check.has_expected else "is missing"
                self.fault = f"{check.path} {there}" if document is not _ABSENT else "the body is not JSON"
                return False
        return True

    @property
    def came(self) -> str:
        """The value that a check has found in place of what it wants; empty where it found none."""
        if self._found is _ABSENT:
            return ""
        return json.dumps(self._found, ensure_ascii=False)[:_MOST_CAME]


def _coding(answer: Response) -> bytes:
    # Given twice it is a list (RFC 9110, 5.2).
    return b",".join(value for name, value in answer.captured or () if name == CONTENT_ENCODING)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _ABSENT


def _holds(check: JsonCheck, found: object) -> bool:
    if found is _ABSENT or not check.has_expected:
        return found is not _ABSENT
    # In Python True is 1; in JSON it is not.
    return isinstance(found, bool) is isinstance(check.equals, bool) and found == check.equals


def _captured(capture: Capture, path: JsonPath, answer: Response, document: object) -> str | None:
    if capture.source == "json":
        return _as_text(value_at(document, path))
    if capture.source == "header":
        wanted = capture.path.lower().encode()
        return next((v.decode("utf-8", "replace") for n, v in answer.captured or () if n == wanted), None)
    pairs = map(cookie_pair, answer.cookies or ())
    return next((pair[1] for pair in pairs if pair and pair[0] == capture.path), None)


def _as_text(value: object) -> str | None:
    if value is _ABSENT or value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
