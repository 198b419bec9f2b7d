"""What a step makes of a whole answer: its status, its checks, what it captures, its cookies."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.scripted import answer, step
from velro_gate.engine.answers import cookies_of, json_value, outcome_of
from velro_gate.engine.wire import AnswerReader, LayerTable
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import BodyCheck, Capture, ContainsCheck, JsonCheck

MISSING = json_value({}, "$.nothing")

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z_-]{1,4}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=10,
)


def read(body: bytes = b"{}", status: int = 200, *headers: bytes, wanted: frozenset[bytes] = frozenset()) -> AnswerReader:
    reader = AnswerReader(LayerTable())
    reader.begin(is_head=False, keep_body=True, wanted=wanted)
    reader.parser.feed_data(answer(body, status, *headers))
    assert reader.complete
    return reader


def paths(document: object, at: str = "$") -> list[tuple[str, object]]:
    """Every place in a document with what stands there."""
    found = [(at, document)]
    if isinstance(document, dict):
        for name, inner in document.items():
            found += paths(inner, f"{at}.{name}")
    elif isinstance(document, list):
        for place, inner in enumerate(document):
            found += paths(inner, f"{at}[{place}]")
    return found


@given(DOCUMENTS)
def test_every_place_of_a_document_is_found_by_its_path(document: object) -> None:
    for path, value in paths(document):
        assert json_value(document, path) is value


@given(DOCUMENTS, st.from_regex(r"\$(\.[a-z]{1,3}|\[\d{1,30}\]){1,5}", fullmatch=True))
def test_a_path_that_leads_nowhere_gives_the_marker_and_no_error(document: object, path: str) -> None:
    assert json_value(document, path) is dict(paths(document)).get(path, MISSING)


def test_a_text_is_no_list_of_letters() -> None:
    assert json_value({"name": "abc"}, "$.name[0]") is MISSING


@pytest.mark.parametrize(
    ("said", "expected", "holds"),
    [
        ("1", 1, True),
        ("1.0", 1, True),
        ("true", True, True),
        ("true", 1, False),
        ("1", True, False),
        ("0", False, False),
        ("null", None, True),
        ("false", None, False),
        ('"1"', 1, False),
        ('"a"', "a", True),
    ],
)
def test_values_are_compared_as_json_compares_them(said: str, expected: str | int | bool | None, holds: bool) -> None:
    check = JsonCheck(path="$.v", equals=expected, has_expected=True)
    body = f'{{"v": {said}}}'.encode()
    assert outcome_of(step(checks=(check,)), read(body), {}) is (Outcome.OK if holds else Outcome.CHECK)


def test_null_exists() -> None:
    assert outcome_of(step(checks=(JsonCheck(path="$.v"),)), read(b'{"v": null}'), {}) is Outcome.OK


@pytest.mark.parametrize("check", [JsonCheck(path="$.v"), ContainsCheck(text="x")])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"v":' * 100_000])
def test_a_body_that_is_no_document_fails_its_check(check: BodyCheck, body: bytes) -> None:
    assert outcome_of(step(checks=(check,)), read(body), {}) is Outcome.CHECK


def test_a_text_is_looked_for_as_utf_8_over_all_pieces() -> None:
    reader = read("käse und schinken".encode())
    reader.body = [bytes([byte]) for byte in b"".join(reader.body)]
    assert outcome_of(step(checks=(ContainsCheck(text="käse"),)), reader, {}) is Outcome.OK


def test_an_unexpected_status_comes_before_everything_else() -> None:
    captured: dict[str, str] = {}
    one = step(checks=(ContainsCheck(text="no"),), captures=(Capture(name="a", source="json", path="$.a"),))
    assert outcome_of(one, read(b'{"a": 1}', 404), captured) is Outcome.STATUS
    assert captured == {}


def test_every_check_must_hold() -> None:
    checks = (ContainsCheck(text="a"), ContainsCheck(text="b"))
    assert outcome_of(step(checks=checks), read(b"a b"), {}) is Outcome.OK
    assert outcome_of(step(checks=checks), read(b"a"), {}) is Outcome.CHECK


@given(DOCUMENTS)
def test_what_is_captured_from_json_is_the_text_itself_or_the_json_of_anything_else(document: object) -> None:
    captured: dict[str, str] = {}
    one = step(captures=(Capture(name="a", source="json", path="$.a"),))
    outcome = outcome_of(one, read(json.dumps({"a": document}).encode()), captured)
    if document is None:
        assert (outcome, captured) == (Outcome.CAPTURE, {})
    else:
        assert outcome is Outcome.OK
        assert (captured["a"] if isinstance(document, str) else json.loads(captured["a"])) == document


@pytest.mark.parametrize("source", ["json", "header", "cookie"])
def test_a_value_that_is_not_there_is_a_failed_capture_and_keeps_the_old_one(source: str) -> None:
    captured = {"a": "old"}
    capture = Capture(name="a", source=source, path="$.a" if source == "json" else "a")  # type: ignore[arg-type]
    assert outcome_of(step(captures=(capture,)), read(b"no json"), captured) is Outcome.CAPTURE
    assert captured == {"a": "old"}


def test_headers_are_captured_without_regard_to_case() -> None:
    captured: dict[str, str] = {}
    one = step(captures=(Capture(name="a", source="header", path="X-Word"),))
    assert outcome_of(one, read(b"", 200, b"x-wORD: w\xfc", wanted=frozenset({b"x-word"})), captured) is Outcome.OK
    assert captured == {"a": "wü"}


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        ((), {}),
        ((b"a=1",), {"a": "1"}),
        ((b"a=1; Path=/; Secure; HttpOnly; SameSite=Lax", b"b=x=y"), {"a": "1", "b": "x=y"}),
        ((b"a=1", b"a=2"), {"a": "2"}),
        ((b"a=1; Max-Age=0",), {"a": ""}),
        ((b"a=; expires=Thu, 01 Jan 1970 00:00:00 GMT",), {"a": ""}),
        ((b" a = 1 ",), {"a": "1"}),
        ((b"=1", b";", b""), {}),
        ((b"a=1; max-age=60",), {"a": "1"}),
    ],
)
def test_cookies_are_read_by_name_and_a_deleted_one_is_empty(lines: tuple[bytes, ...], cookies: dict[str, str]) -> None:
    reader = read(b"", 200, *(b"Set-Cookie: " + line for line in lines))
    assert dict(cookies_of(reader)) == cookies
