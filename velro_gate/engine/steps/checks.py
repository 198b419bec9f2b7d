"""What is looked at in an expected answer: checks on its body, and values captured from it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, MutableMapping, Sequence

from velro_gate.engine.http.parsing.codings import CONTENT_ENCODING, LIGHT, CodingError, TooLongError, decoded
from velro_gate.engine.http.parsing.responses import Response
from velro_gate.engine.steps.cookies import cookie_pair
from velro_gate.engine.steps.documents import ABSENT, JsonPath, LongValue, values_at
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import Capture, ContainsCheck, JsonCheck, Step
from velro_gate.units import format_count

_PART = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]")
_MOST_CAME = 1_000
"""Characters of a value that a failed check shows."""

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


Looked = tuple[bytes, list[object] | None]
"""A body without its codings, and what stands at the paths of a step's checks and captures; None where it is no JSON."""

ValuesAt = Callable[[bytes, Sequence[JsonPath]], list[object] | None]
"""See ``documents.values_at``."""


class Inspection:
    """The checks and captures of one step. fault: of the response that was looked at last, what was wrong with it, in words."""

    def __init__(self, step: Step) -> None:
        self._checks = [c for c in step.checks if isinstance(c, JsonCheck)]
        self._texts = [c.text.encode() for c in step.checks if isinstance(c, ContainsCheck)]
        self._captures = step.captures
        # Of the checks first, then of the captures.
        self._paths = [json_path(check.path) for check in self._checks]
        self._paths += [json_path(capture.path) for capture in step.captures if capture.source == "json"]
        self.wants_body = bool(self._paths or self._texts)
        self.fault = ""
        self._found: object = ABSENT

    def __call__(
        self, answer: Response, captured: MutableMapping[str, str], looked: Looked | CodingError | None = None
    ) -> Outcome | None:
        """OK, CHECK, CAPTURE, or PROTOCOL for a body that cannot be decompressed; values found are put into ``captured``.

        None: the body is long, so ``look`` has to be called outside the loop, and this again with what comes of it.
        """
        self._found = ABSENT
        looked = self._at_once(answer) if looked is None else looked
        if looked is None:
            return None
        if isinstance(looked, CodingError):
            self.fault = str(looked)
            return Outcome.PROTOCOL
        body, values = looked
        if not self._holds(body, values):
            return Outcome.CHECK
        outcome = Outcome.OK
        found = iter((values or [])[len(self._checks) :])
        for capture in self._captures:
            value = next(found, ABSENT) if capture.source == "json" else _of_head(capture, answer)
            text = _as_text(value)
            length = value.characters if isinstance(value, LongValue) else len(text or "")
            if text is not None and length <= MOST_CAPTURED:
                captured[capture.name] = text
            elif outcome is Outcome.OK:
                outcome = Outcome.CAPTURE
                of = f"{capture.name} from {capture.source} {capture.path}"
                count = format_count(length)
                self.fault = f"nothing to capture as {of}" if text is None else f"{count} characters are too many for {of}"
        return outcome

    def _at_once(self, answer: Response) -> Looked | CodingError | None:
        """What there is to see in a body; None where looking at it would stop the loop for long."""
        body = b"".join(answer.body or ())
        if self.wants_body and answer.captured:
            try:
                body = decoded(body, _coding(answer), LIGHT)
            except TooLongError:
                return None
            except CodingError as error:
                return error
        if not self._paths:
            return body, []
        # Parsing holds Python's lock, so a long body is parsed by another process.
        return None if len(body) > LIGHT else (body, values_at(body, self._paths))

    def look(self, answer: Response, values: ValuesAt = values_at) -> Looked | CodingError:
        """What there is to see in a body of any length. This may take long, and touches nothing else."""
        try:
            body = decoded(b"".join(answer.body or ()), _coding(answer))
        except CodingError as error:
            return error
        return body, values(body, self._paths) if self._paths else []

    def _holds(self, body: bytes, values: Sequence[object] | None) -> bool:
        """Whether all checks hold; otherwise ``fault`` names the first that does not."""
        for text in self._texts:
            if text not in body:
                self.fault = f"the body does not contain {text.decode()!r}"
                return False
        for at, check in enumerate(self._checks):
            found = ABSENT if values is None else values[at]
            if not _holds(check, found):
                self._found = found
                there = f"must be {json.dumps(check.equals)}" if check.has_expected else "is missing"
                self.fault = f"{check.path} {there}" if values is not None else "the body is not JSON"
                return False
        return True

    @property
    def came(self) -> str:
        """The value that a check has found in place of what it wants; empty where it found none."""
        if self._found is ABSENT:
            return ""
        if isinstance(self._found, LongValue):
            return f"{format_count(self._found.characters)} characters"
        return json.dumps(self._found, ensure_ascii=False)[:_MOST_CAME]


def _coding(answer: Response) -> bytes:
    # Given twice it is a list (RFC 9110, 5.2).
    return b",".join(value for name, value in answer.captured or () if name == CONTENT_ENCODING)


def _holds(check: JsonCheck, found: object) -> bool:
    if found is ABSENT or not check.has_expected:
        return found is not ABSENT
    # In Python True is 1; in JSON it is not.
    return isinstance(found, bool) is isinstance(check.equals, bool) and found == check.equals


def _of_head(capture: Capture, answer: Response) -> object:
    """The header or the cookie that is to be captured."""
    if capture.source == "header":
        wanted = capture.path.lower().encode()
        return next((v.decode("utf-8", "replace") for n, v in answer.captured or () if n == wanted), ABSENT)
    pairs = map(cookie_pair, answer.cookies or ())
    return next((pair[1] for pair in pairs if pair and pair[0] == capture.path), ABSENT)


def _as_text(value: object) -> str | None:
    if value is ABSENT or value is None:
        return None
    if isinstance(value, LongValue):
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
