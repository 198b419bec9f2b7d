"""Compiled requests: what h11 and a real parse read out of the bytes is what the scenario put in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.engine.scripted import scenario, step
from velro_gate.engine.requests import CompiledStep, Compiler, MissingCaptureError
from velro_gate.errors import UsageError
from velro_gate.model.scenario import Auth, BearerAuth, Body, Capture, ContainsCheck, Feeder, LoginAuth, Step


@dataclass
class Somebody:
    """A user as a compiled step sees it."""

    index: int = 0
    identity: str = "id-0"
    captured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parsed:
    """A request as h11, in the role of a server, reads it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        (value,) = [value for known, value in self.headers if known == name]
        return value


def parse(raw: bytes) -> Parsed:
    server = h11.Connection(h11.SERVER)
    server.receive_data(raw)
    request, body = None, b""
    while True:
        event = server.next_event()
        if isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            assert isinstance(event, h11.EndOfMessage), event
            break
    assert request is not None
    assert not server.trailing_data[0]
    headers = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
    return Parsed(request.method.decode(), request.target.decode(), headers, body)


def compiled(
    one: Step, url: str = "http://host.test", *, auth: Auth | None = None, feeders: tuple[Feeder, ...] = (), **secrets: str
) -> CompiledStep:
    return Compiler(scenario(url, one, auth=auth, feeders=feeders), secrets).compile(one, 0)


def sent(one: Step, person: Somebody | None = None, cookies: bytes = b"", **arguments: Any) -> Parsed:
    return parse(compiled(one, **arguments).render(person or Somebody(), cookies))


def captured(value: str) -> Somebody:
    return Somebody(captured={"v": value})


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TYPES = {"json": "application/json; charset=utf-8", "form": "application/x-www-form-urlencoded", "plain": "text/plain"}


# Values find their way


@given(TEXT)
def test_a_value_in_the_path_is_one_segment_that_reads_as_it_was(value: str) -> None:
    target = sent(step(path="/a/${v}/b"), captured(value)).target
    first, segment, last = target.removeprefix("/").split("/")
    assert (first, unquote(segment), last) == ("a", value, "b")


@given(TEXT, TEXT)
def test_a_value_in_the_query_reads_as_it_was_beside_what_stood_there(value: str, fixed: str) -> None:
    assume("${" not in fixed)
    target = sent(step(path="/a?first=1", query=(("v", "x${v}"), ("fixed", fixed), ("v", "2"))), captured(value)).target
    query = parse_qsl(urlsplit(target).query, keep_blank_values=True, strict_parsing=True)
    assert query == [("first", "1"), ("v", "x" + value), ("fixed", fixed), ("v", "2")]


@given(TEXT)
def test_a_value_in_a_json_body_reads_as_it_was(value: str) -> None:
    body = Body(template='{"a": "é ${v}", "b": ["${v}"]}', content_type=TYPES["json"])
    request = sent(step(method="POST", body=body), captured(value))
    assert json.loads(request.body) == {"a": "é " + value, "b": [value]}
    assert request.header("content-length") == str(len(request.body))
    assert request.header("content-type") == TYPES["json"]


@given(TEXT)
def test_a_value_in_a_form_reads_as_it_was(value: str) -> None:
    request = sent(step(method="POST", body=Body(template="a=1&v=${v}", content_type=TYPES["form"])), captured(value))
    assert parse_qsl(request.body.decode(), keep_blank_values=True) == [("a", "1"), ("v", value)]


@given(TEXT)
def test_a_value_in_a_plain_body_stands_there_as_it_is(value: str) -> None:
    request = sent(step(method="PUT", body=Body(template="<${v}>", content_type=TYPES["plain"])), captured(value))
    assert request.body == f"<{value}>".encode()


@given(st.text(max_size=40))
def test_a_value_in_a_header_can_end_neither_the_header_nor_the_request(value: str) -> None:
    raw = compiled(step(headers=(("X-V", "a${v}z"),))).render(captured(value))
    assert raw.count(b"\r\n\r\n") == 1
    lines = raw.split(b"\r\n")
    (line,) = [line for line in lines if line.lower().startswith(b"x-v: ")]
    assert line[5:6] == b"a"
    assert line[-1:] == b"z"
    assert not set(line) & set(b"\r\n\0")
    assert len(lines) == len(compiled(step(headers=(("X-V", "a"),))).render(Somebody()).split(b"\r\n"))


@given(st.text(max_size=30), st.sampled_from(sorted(TYPES)))
def test_no_text_whatever_stops_a_request_from_being_made(value: str, kind: str) -> None:
    one = step(
        path="/${v}", query=(("q", "${v}"),), headers=(("X-V", "${v}"),), body=Body(template="${v}", content_type=TYPES[kind])
    )
    assert compiled(one).render(captured(value)).startswith(b"GET /")


def test_where_values_come_from() -> None:
    feeder = Feeder(name="f", columns=("a", "b"), rows=(("a0", "b0"), ("a1", "b1")))
    one = step(path="/${user.index}/${user.id}/${f.a}/${f.b}/${env.KEY}/${word}")
    person = Somebody(index=3, identity="me", captured={"word": "w"})
    assert sent(one, person, feeders=(feeder,), KEY="k").target == "/3/me/a1/b1/k/w"


def test_a_step_that_needs_what_was_not_captured_cannot_be_made() -> None:
    with pytest.raises(MissingCaptureError):
        compiled(step(path="/${v}")).render(Somebody())


def test_a_name_that_nothing_provides_is_said_when_the_step_is_compiled() -> None:
    with pytest.raises(UsageError, match=r"people\.name"):
        compiled(step(path="/${people.name}"))


# Request lines and headers


@pytest.mark.parametrize(
    ("url", "path", "target", "host"),
    [
        ("http://host.test", "/", "/", "host.test"),
        ("http://host.test/", "/a", "/a", "host.test"),
        ("http://host.test:8080/v1/", "/a/", "/v1/a/", "host.test:8080"),
        ("http://host.test:80", "/a", "/a", "host.test"),
        ("https://host.test:443", "/a", "/a", "host.test"),
        ("http://[::1]:8000", "/a", "/a", "[::1]:8000"),
        ("http://127.0.0.1:9", "/ü b", "/%C3%BC%20b", "127.0.0.1:9"),
        ("http://host.test", "/a%2Fb", "/a%2Fb", "host.test"),
        ("http://host.test", "/a#part", "/a", "host.test"),
        ("http://host.test", "/a?", "/a?", "host.test"),
    ],
)
def test_the_target_and_the_host_are_those_of_the_url(url: str, path: str, target: str, host: str) -> None:
    request = sent(step(path=path), url=url)
    assert (request.method, request.target.rstrip("?"), request.header("host")) == ("GET", target.rstrip("?"), host)


def test_every_request_says_who_asks_unless_the_scenario_says_otherwise() -> None:
    assert sent(step()).header("user-agent").startswith("velro-gate/")
    assert sent(step()).header("accept") == "*/*"
    own = sent(step(headers=(("USER-AGENT", "me"), ("Accept", "text/html"))))
    assert (own.header("user-agent"), own.header("accept")) == ("me", "text/html")


def test_no_answer_in_a_coding_that_is_not_read_is_asked_for() -> None:
    request = sent(step())
    assert not {name for name, _ in request.headers} & {"accept-encoding", "connection", "content-length"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_request_that_could_have_a_body_says_that_it_has_none(method: str) -> None:
    assert sent(step(method=method)).header("content-length") == "0"


def test_a_header_beyond_ascii_is_sent_and_one_beyond_latin_1_does_not_stop_the_run() -> None:
    assert sent(step(headers=(("X-V", "Jürgen"),))).header("x-v") == "Jürgen"
    assert sent(step(headers=(("X-V", "☃"),))).header("x-v") == "?"


def test_cookies_stand_among_the_headers() -> None:
    request = sent(step(method="POST", body=Body(template="x", content_type="text/plain")), cookies=b"Cookie: a=1; b=2\r\n")
    assert request.header("cookie") == "a=1; b=2"
    assert request.body == b"x"


@pytest.mark.parametrize("secret", ["s3cret", "s3cret\n", "s3cret\r\nX-Evil: 1", "gehéim", "${v}"])
def test_a_bearer_token_is_one_header_whatever_the_variable_holds(secret: str) -> None:
    request = sent(step(), auth=BearerAuth(variable="T"), T=secret)
    assert request.header("authorization") == "Bearer " + secret.replace("\r", "").replace("\n", "")
    assert "x-evil" not in dict(request.headers)


def test_a_login_token_is_the_users_own_and_the_login_itself_carries_none() -> None:
    login = step("log_in", captures=(Capture(name="tok", source="json", path="$.t"),))
    made = scenario("http://host.test", step(), auth=LoginAuth(step=login, token="tok"))
    compiler = Compiler(made, {})
    request = parse(compiler.compile(step(), 0).render(Somebody(captured={"tok": "t1"})))
    assert request.header("authorization") == "Bearer t1"
    assert "authorization" not in dict(parse(compiler.compile(login, -1, authorized=False).render(Somebody())).headers)


def test_a_url_that_cannot_be_is_said_in_words() -> None:
    with pytest.raises(UsageError) as caught:
        compiled(step("far", path="/" + "x" * 70_000))
    assert "far" in caught.value.what


# What a step needs of its answer


@pytest.mark.parametrize(
    ("changes", "kept", "wanted", "safe"),
    [
        ({}, False, set(), True),
        ({"checks": (ContainsCheck(text="x"),)}, True, set(), True),
        ({"captures": (Capture(name="a", source="json", path="$.a"),)}, True, set(), True),
        ({"captures": (Capture(name="a", source="header", path="X-A"),)}, False, {b"x-a"}, True),
        ({"captures": (Capture(name="a", source="cookie", path="a"),)}, False, set(), True),
        ({"method": "POST"}, False, set(), False),
        ({"method": "DELETE"}, False, set(), False),
        ({"method": "HEAD"}, False, set(), True),
    ],
)
def test_only_what_a_step_reads_is_kept_and_only_what_is_safe_is_repeated(
    changes: dict[str, Any], kept: bool, wanted: set[bytes], safe: bool
) -> None:
    made = compiled(step(**changes))
    assert (made.keep_body, set(made.wanted_headers), made.safe) == (kept, wanted, safe)
    assert made.is_head is (changes.get("method") == "HEAD")


def test_rendering_twice_gives_the_same_bytes() -> None:
    made = compiled(step(path="/${user.index}", body=Body(template="${user.id}", content_type="text/plain")))
    assert made.render(Somebody()) == made.render(Somebody())
