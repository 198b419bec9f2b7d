"""Checks and captures look at an answer as the scenario says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.engine.http.parsing.codings import LIGHT
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.responses import Response, ResponseState
from velro_gate.engine.steps.checks import MOST_CAPTURED, Inspection, Looked, json_path
from velro_gate.engine.steps.documents import MOST_VALUE, LongValue, packed, unpacked_values, value_at, values_at
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import BodyCheck, Capture, ContainsCheck, JsonCheck, Step


def answer(body: bytes, head: bytes = b"") -> Response:
    made = Response(HeaderKinds([b"x-id"]), 1 << 20)
    made.start(0.0, wants_body=True)
    assert made.feed(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)) is ResponseState.COMPLETE
    return made


def inspect(
    body: bytes, *checks: BodyCheck, captures: tuple[Capture, ...] = (), head: bytes = b""
) -> tuple[Outcome, dict[str, str]]:
    step = Step(name="s", method="GET", path="/", probability=1.0, checks=checks, captures=captures)
    captured: dict[str, str] = {}
    return Inspection(step)(answer(body, head), captured), captured


def equals(path: str, value: str | int | float | bool | None) -> JsonCheck:
    return JsonCheck(path=path, equals=value, has_expected=True)


@pytest.mark.parametrize(
    ("body", "check", "holds"),
    [
        (b'{"a": {"b": [1, 2]}}', JsonCheck(path="$.a.b[1]"), True),
        (b'{"a": null}', JsonCheck(path="$.a"), True),
        (b"{}", JsonCheck(path="$.a"), False),
        (b"[]", JsonCheck(path="$[0]"), False),
        (b'"text"', JsonCheck(path="$.a"), False),
        (b"5", JsonCheck(path="$"), True),
        (b"", JsonCheck(path="$"), False),
        (b"{", JsonCheck(path="$"), False),
        (b"[" * 100_000, JsonCheck(path="$"), False),
        (b"\xff\xfe{}", JsonCheck(path="$.a"), False),
        (b'{"a": true}', equals("$.a", True), True),
        (b'{"a": 1}', equals("$.a", True), False),
        (b'{"a": true}', equals("$.a", 1), False),
        (b'{"a": 1.0}', equals("$.a", 1), True),
        (b'{"a": "1"}', equals("$.a", 1), False),
        (b'{"a": null}', equals("$.a", None), True),
        (b"{}", equals("$.a", None), False),
        ("grüße".encode(), ContainsCheck(text="üß"), True),
        (b"hello", ContainsCheck(text="Hello"), False),
    ],
)
def test_checks(body: bytes, check: BodyCheck, holds: bool) -> None:
    assert inspect(body, check)[0] is (Outcome.OK if holds else Outcome.CHECK)


def test_all_checks_must_hold() -> None:
    assert inspect(b'{"a": 1}', JsonCheck(path="$.a"), ContainsCheck(text="b"))[0] is Outcome.CHECK


@pytest.mark.parametrize(
    ("source", "path", "expected"),
    [
        ("json", "$.items[0].id", "7"),
        ("json", "$.name", "a b"),
        ("json", "$.flag", "true"),
        ("json", "$.items[0]", '{"id":7}'),
        ("header", "x-ID", "from a header"),
        ("cookie", "sid", "from=a cookie"),
        ("json", "$.none", None),
        ("json", "$.nothing", None),
        ("header", "X-Else", None),
        ("cookie", "else", None),
    ],
)
def test_captures(source: str, path: str, expected: str | None) -> None:
    body = json.dumps({"items": [{"id": 7}], "name": "a b", "flag": True, "none": None}).encode()
    head = b"X-Id: from a header\r\nSet-Cookie: a=b\r\nSet-Cookie: sid=from=a cookie; Path=/\r\n"
    capture = Capture(name="c", source=source, path=path)  # type: ignore[arg-type]
    outcome, captured = inspect(body, captures=(capture,), head=head)
    assert captured.get("c") == expected
    assert outcome is (Outcome.OK if expected is not None else Outcome.CAPTURE)


def test_nothing_is_captured_from_an_answer_that_fails_its_checks() -> None:
    capture = Capture(name="c", source="json", path="$.a")
    assert inspect(b'{"a": "old"}', ContainsCheck(text="new"), captures=(capture,)) == (Outcome.CHECK, {})


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(documents)
def test_every_value_of_a_document_is_at_its_path(document: object) -> None:
    def check(inner: object, path: str) -> None:
        assert value_at(document, json_path(path)) is inner
        if isinstance(inner, dict):
            for name, item in inner.items():
                check(item, f"{path}.{name}")
        elif isinstance(inner, list):
            for index, item in enumerate(inner):
                check(item, f"{path}[{index}]")

    check(document, "$")


@pytest.mark.parametrize("path", ["", "a", "$a", "$..a", "$[", "$[-1]", "$.a b", "$.1"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="JSON path"):
        json_path(path)


def test_a_value_that_would_fill_the_memory_of_all_users_is_not_captured() -> None:
    wanted = (Capture(name="id", source="json", path="$.id"),)
    body = json.dumps({"id": "x" * MOST_CAPTURED}).encode()
    assert inspect(body, captures=wanted) == (Outcome.OK, {"id": "x" * MOST_CAPTURED})
    assert inspect(body.replace(b"x", b"xx", 1), captures=wanted) == (Outcome.CAPTURE, {})


@pytest.mark.parametrize(
    ("body", "check"),
    [
        (b'{"a": {"b": [1, 2]}}', JsonCheck(path="$.a.b[1]")),
        (b"{}", JsonCheck(path="$.a")),
        (b"{", JsonCheck(path="$")),
        (b'{"a": 1.0}', equals("$.a", 1)),
        (b'{"a": true}', equals("$.a", 1)),
    ],
)
def test_a_long_body_is_looked_at_outside_the_loop_and_comes_to_the_same(body: bytes, check: BodyCheck) -> None:
    step = Step(name="s", method="GET", path="/", probability=1.0, checks=(check,))
    long, short = Inspection(step), Inspection(step)
    given = answer(body + b" " * LIGHT)
    assert long(given, {}) is None
    assert long(given, {}, long.look(given)) is short(answer(body), {})
    assert (long.fault, long.came) == (short.fault, short.came)


@given(documents, st.lists(st.lists(st.integers(0, 3) | st.from_regex(r"[a-z]{1,3}", fullmatch=True), max_size=3), max_size=3))
def test_values_come_back_from_the_process_as_they_were(document: object, paths: list[list[str | int]]) -> None:
    values = values_at(json.dumps(document).encode(), paths)
    assert values == [value_at(document, path) for path in paths]
    assert unpacked_values(packed(values)) == values


def test_of_what_is_too_long_to_be_handed_on_the_length_comes_back_and_of_no_json_nothing() -> None:
    assert unpacked_values(packed(["x" * MOST_VALUE, "\ud800"])) == [LongValue(characters=MOST_VALUE + 2), "\ud800"]
    assert unpacked_values(packed(values_at(b"{", [()]))) is None


def test_a_value_too_long_to_be_handed_on_is_there_equals_nothing_and_is_not_captured() -> None:
    there, equal = JsonCheck(path="$.id"), equals("$.id", "x")
    capture = Capture(name="id", source="json", path="$.id")
    given = answer(b"")
    long: Looked = (b"", [LongValue(characters=600_000)])
    looked = Inspection(Step(name="s", method="GET", path="/", probability=1.0, checks=(there,)))
    assert looked(given, {}, long) is Outcome.OK
    looked = Inspection(Step(name="s", method="GET", path="/", probability=1.0, checks=(equal,)))
    assert looked(given, {}, long) is Outcome.CHECK
    assert looked.came == "600,000 characters"
    looked = Inspection(Step(name="s", method="GET", path="/", probability=1.0, captures=(capture,)))
    assert looked(given, {}, long) is Outcome.CAPTURE
    assert looked.fault == "600,000 characters are too many for id from json $.id"
