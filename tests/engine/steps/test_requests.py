"""Steps become the bytes that an independent parser reads as the request that was meant."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate import __version__
from velro_gate.engine.steps.requests import CompiledStep, Compiler
from velro_gate.errors import MissingVariableError, UsageError
from velro_gate.model.scenario import Auth, BearerAuth, Body, Capture, Feeder, LoginAuth, NoAuth, Scenario, Step, Target


@dataclass
class Somebody:
    """A user as a request sees it."""

    index: int = 3
    identity: str = "id-3"
    captured: dict[str, str] = field(default_factory=dict)
    cookies: bytes = b""

    def cookie_line(self, head: bytes) -> bytes:
        return self.cookies


def step(**changes: object) -> Step:
    return Step(**{"name": "s", "method": "GET", "path": "/p", "probability": 1.0, **changes})  # type: ignore[arg-type]


def scenario(
    *steps: Step, url: str = "http://api.test", auth: Auth | None = None, feeders: tuple[Feeder, ...] = (), cookies: bool = True
) -> Scenario:
    return Scenario(
        name="n",
        description="",
        digest="d",
        target=Target(url=url),
        auth=auth or NoAuth(),
        steps=steps,
        feeders=feeders,
        cookies=cookies,
    )


def compiled(made: Scenario, **secrets: str) -> CompiledStep:
    return Compiler(made, secrets).steps()[0]


@dataclass
class Read:
    """A request as h11 reads it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def read(data: bytes | None) -> Read:
    assert data is not None
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    request = server.next_event()
    assert isinstance(request, h11.Request), request
    headers = {name.decode(): value.decode() for name, value in request.headers}
    assert len(headers) == len(request.headers), "a header stands twice"
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert server.trailing_data[0] == b""
    return Read(request.method.decode(), request.target.decode(), headers, body)


def test_a_plain_step_is_what_httpx_would_send() -> None:
    made = step(query=(("q", "a b&c"), ("empty", "")), headers=(("X-One", "1"),))
    seen = read(compiled(scenario(made)).render(Somebody()))
    meant = httpx.Request("GET", "http://api.test/p", params=made.query)
    assert (seen.method, seen.target) == ("GET", meant.url.raw_path.decode().replace("+", "%20"))
    assert seen.headers == {"host": "api.test", "user-agent": f"velro-gate/{__version__}", "accept": "*/*", "x-one": "1"}


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("http://api.test", "api.test", "/p"),
        ("http://api.test:8080", "api.test:8080", "/p"),
        ("http://api.test:80", "api.test", "/p"),
        ("https://api.test:443/", "api.test", "/p"),
        ("http://api.test/v1", "api.test", "/v1/p"),
        ("http://api.test:81/v1/", "api.test:81", "/v1/p"),
        ("http://[::1]:8400", "[::1]:8400", "/p"),
        ("http://127.0.0.1:8400", "127.0.0.1:8400", "/p"),
    ],
)
def test_hosts_ports_and_prefixes(url: str, host: str, target: str) -> None:
    seen = read(compiled(scenario(step(), url=url)).render(Somebody()))
    assert (seen.headers["host"], seen.target) == (host, target)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
in_one_line = text.filter(
    lambda t: not set(t) & set("\r\n\0") and t == t.strip() and all(ord(c) > 31 and ord(c) != 127 for c in t)
)


@given(text, text, in_one_line, text)
def test_values_survive_in_every_place_they_can_stand_in(path: str, query: str, header: str, body: str) -> None:
    made = step(
        method="POST",
        path="/a/${path}/b",
        query=(("q", "x${query}y"),),
        headers=(("X-H", "<${header}>"),),
        body=Body(template='{"v":"${body}","n":1,"w":"100%"}', content_type="application/json"),
    )
    somebody = Somebody(captured={"path": path, "query": query, "header": header, "body": body})
    seen = read(compiled(scenario(made)).render(somebody))
    parts = urlsplit(f"http://x{seen.target}")
    assert unquote(parts.path) == f"/a/{path}/b"
    assert parts.path.count("/") == 3
    assert parse_qsl(parts.query, keep_blank_values=True) == [("q", f"x{query}y")]
    assert seen.headers["x-h"] == f"<{header}>"
    assert json.loads(seen.body) == {"v": body, "n": 1, "w": "100%"}


def test_parameters_keep_their_order_even_when_names_repeat() -> None:
    made = step(path="/p?first=0", query=(("b", "1"), ("a", "2"), ("b", "${x}")))
    seen = read(compiled(scenario(made)).render(Somebody(captured={"x": "3&4"})))
    assert seen.target == "/p?first=0&b=1&a=2&b=3%264"


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_text_that_is_no_unicode_is_sent_with_marks_in_its_place(kind: str) -> None:
    body = Body(template='"${x}"', content_type=kind)
    made = step(method="POST", path="/${x}", headers=(("X-H", "${x}"),), body=body)
    seen = read(compiled(scenario(made)).render(Somebody(captured={"x": "a\ud800b"})))
    assert seen.target == "/a%3Fb"
    assert seen.headers["x-h"] == "a?b"
    assert b"a" in seen.body
    assert b"b" in seen.body


def test_values_in_forms_and_plain_bodies() -> None:
    for kind, expected in (("application/x-www-form-urlencoded", b"v=a+b%26c"), ("text/plain", b"v=a b&c")):
        made = step(method="POST", body=Body(template="v=${x}", content_type=kind))
        seen = read(compiled(scenario(made)).render(Somebody(captured={"x": "a b&c"})))
        assert (seen.body, seen.headers["content-type"]) == (expected, kind)


@pytest.mark.parametrize("bad", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
def test_a_captured_value_with_a_line_break_never_reaches_a_header(bad: str) -> None:
    made = step(headers=(("X-H", "${x}"),))
    assert compiled(scenario(made)).render(Somebody(captured={"x": bad})) is None


def test_a_known_value_with_a_line_break_is_refused_ahead_and_not_shown() -> None:
    made = step(headers=(("X-H", "${env.KEY}"),))
    with pytest.raises(UsageError) as caught:
        compiled(scenario(made), KEY="secret\r\nX: 1")
    assert "secret" not in str(caught.value)


def test_what_a_user_is_and_what_it_is_fed_is_its_own() -> None:
    feeder = Feeder(name="people", columns=("name", "city"), rows=(("ann", "A B"), ("bob", "C/D")))
    made = step(path="/${user.index}/${user.id}/${people.name}", query=(("c", "${people.city}"),))
    target = compiled(scenario(made, feeders=(feeder,)))
    assert read(target.render(Somebody(index=0))).target == "/0/id-3/ann?c=A%20B"
    assert read(target.render(Somebody(index=3))).target == "/3/id-3/bob?c=C%2FD"


def test_a_missing_captured_value_makes_no_request() -> None:
    assert compiled(scenario(step(path="/${x}"))).render(Somebody()) is None
    body = Body(template="${x}", content_type="text/plain")
    assert compiled(scenario(step(method="POST", body=body))).render(Somebody()) is None


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(MissingVariableError, match="KEY"):
        compiled(scenario(step(), auth=BearerAuth(variable="KEY")))


@pytest.mark.parametrize("name", ["nowhere.column", "people.nothing"])
def test_what_nothing_provides_is_refused(name: str) -> None:
    feeder = Feeder(name="people", columns=("name",), rows=(("ann",),))
    with pytest.raises(UsageError, match="nothing provides"):
        compiled(scenario(step(path=f"/${{{name}}}"), feeders=(feeder,)))


def test_a_bearer_token_is_carried_unless_the_step_has_its_own() -> None:
    auth = BearerAuth(variable="KEY")
    assert read(compiled(scenario(step(), auth=auth), KEY="k").render(Somebody())).headers["authorization"] == "Bearer k"
    own = step(headers=(("authorization", "Own"),))
    assert read(compiled(scenario(own, auth=auth), KEY="k").render(Somebody())).headers["authorization"] == "Own"


def test_credentials_in_the_url_are_sent_as_basic_authorization() -> None:
    seen = read(compiled(scenario(step(), url="http://me:p%40ss@api.test")).render(Somebody()))
    assert (seen.headers["authorization"], seen.headers["host"]) == ("Basic bWU6cEBzcw==", "api.test")


def test_a_login_carries_no_token_and_the_steps_do() -> None:
    login = step(name="in", method="POST", captures=(Capture(name="t", source="json", path="$.t"),))
    compiler = Compiler(scenario(step(), auth=LoginAuth(step=login, token="t")), {})
    first, (then,) = compiler.login(), compiler.steps()
    assert first is not None
    assert "authorization" not in read(first.render(Somebody())).headers
    assert read(then.render(Somebody(captured={"t": "abc"}))).headers["authorization"] == "Bearer abc"
    assert (first.index, then.index, first.needs_token, then.needs_token) == (1, 0, False, True)


def test_cookies_are_sent_unless_switched_off_or_given() -> None:
    somebody = Somebody(cookies=b"Cookie: a=1\r\n")
    assert read(compiled(scenario(step())).render(somebody)).headers["cookie"] == "a=1"
    assert "cookie" not in read(compiled(scenario(step(), cookies=False)).render(somebody)).headers
    assert read(compiled(scenario(step(headers=(("Cookie", "b=2"),)))).render(somebody)).headers["cookie"] == "b=2"
    posted = step(method="POST", body=Body(template="{}", content_type="application/json"))
    seen = read(compiled(scenario(posted)).render(somebody))
    assert (seen.headers["cookie"], seen.body) == ("a=1", b"{}")


def test_a_post_without_a_body_says_that_it_has_none() -> None:
    assert read(compiled(scenario(step(method="POST"))).render(Somebody())).headers["content-length"] == "0"


def test_a_fixed_request_is_made_once() -> None:
    target = compiled(scenario(step(), cookies=False))
    assert target.render(Somebody()) is target.render(Somebody())


def test_methods_know_whether_they_may_be_sent_again() -> None:
    safe = {m: compiled(scenario(step(method=m))).safe for m in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH")}
    assert [method for method, is_safe in safe.items() if is_safe] == ["GET", "HEAD", "OPTIONS"]


def test_captured_headers_of_all_steps_are_known() -> None:
    capture = Capture(name="x", source="header", path="X-Id")
    assert Compiler(scenario(step(captures=(capture,))), {}).captured_headers() == {b"x-id"}


def test_a_text_that_looks_like_the_mark_of_a_value_is_sent_as_it_is() -> None:
    made = compiled(scenario(step(path="/vG0xSlotxGv/${user.index}")))
    rendered = made.render(Somebody())
    assert rendered is not None
    assert rendered.startswith(b"GET /vG0xSlotxGv/3 HTTP/1.1\r\n")
