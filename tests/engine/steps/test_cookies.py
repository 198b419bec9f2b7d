"""A jar sends back what RFC 6265 says, for one host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.engine.steps.cookies import MOST_BYTES, Jar, cookie_pair

NOW = 1_800_000_000.0


def line(*headers: bytes, path: str = "/", now: float = NOW, secure: bool = False, default: str = "/") -> bytes:
    jar = Jar()
    for header in headers:
        jar.keep(header, default, NOW)
    return jar.line(path, now, secure=secure)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], b""),
        ([b"a=1"], b"Cookie: a=1\r\n"),
        ([b"a=1; Path=/; HttpOnly; SameSite=Lax"], b"Cookie: a=1\r\n"),
        ([b"a=1", b"b=x=y"], b"Cookie: a=1; b=x=y\r\n"),
        ([b"a=1", b"a=2"], b"Cookie: a=2\r\n"),
        ([b"a=1", b"a=; Max-Age=0"], b""),
        ([b"a=1", b"a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], b""),
        ([b"a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"], b"Cookie: a=1\r\n"),
        ([b"a=1; Expires=nonsense; Max-Age=nonsense"], b"Cookie: a=1\r\n"),
        ([b"nonsense", b"=1", b""], b""),
        ([b"a="], b"Cookie: a=\r\n"),
    ],
)
def test_what_is_set_is_sent(headers: list[bytes], expected: bytes) -> None:
    assert line(*headers) == expected


@pytest.mark.parametrize(
    ("path", "sent"), [("/api", True), ("/api/", True), ("/api/x", True), ("/apix", False), ("/", False), ("/other", False)]
)
def test_a_cookie_with_a_path_goes_there_only(path: str, sent: bool) -> None:
    assert bool(line(b"a=1; Path=/api", path=path)) is sent


def test_a_cookie_without_a_path_belongs_to_the_folder_that_set_it() -> None:
    assert line(b"a=1", default="/api", path="/api/me")
    assert not line(b"a=1", default="/api", path="/else")


def test_longer_paths_go_first() -> None:
    assert line(b"a=1; Path=/", b"b=2; Path=/api", path="/api") == b"Cookie: b=2; a=1\r\n"


def test_a_secure_cookie_goes_over_tls_only() -> None:
    assert not line(b"a=1; Secure")
    assert line(b"a=1; Secure", secure=True)


def test_a_cookie_ends_with_its_age() -> None:
    assert line(b"a=1; Max-Age=60", now=NOW + 59)
    assert not line(b"a=1; Max-Age=60", now=NOW + 60)


def test_a_line_that_always_fits_is_kept_until_something_is_set() -> None:
    jar = Jar()
    jar.keep(b"a=1; Path=/", "/", NOW)
    assert jar.fixed is None
    jar.line("/", NOW, secure=False)
    assert jar.fixed == b"Cookie: a=1\r\n"
    jar.keep(b"b=1; Path=/x", "/", NOW)
    jar.line("/", NOW, secure=False)
    assert jar.fixed is None


def test_a_service_cannot_fill_our_memory() -> None:
    assert line(*[b"c%d=1" % number for number in range(1_000)]).count(b"=") == 200
    # As in a browser, what is too long changes nothing.
    assert line(b"a=1", b"a=" + b"x" * MOST_BYTES, b"b=" + b"x" * (MOST_BYTES - 1))[:14] == b"Cookie: a=1; b"


@given(st.binary(max_size=80))
def test_no_header_whatever_raises_anything(header: bytes) -> None:
    jar = Jar()
    jar.keep(header, "/", NOW)
    assert jar.line("/", NOW, secure=True).count(b"\r\n") <= 1 or b"\n" in header
    assert cookie_pair(header) is None or cookie_pair(header)


@given(st.binary(max_size=60), st.sampled_from((b"Max-Age=", b"Expires=", b"Path=", b"")), st.integers(0, 5_000))
def test_whatever_a_service_sets_is_kept_or_ignored(value: bytes, attribute: bytes, digits: int) -> None:
    jar = Jar()
    for header in (b"a=1; %b%b" % (attribute, value), b"a=1; Max-Age=" + b"9" * digits, b"a=1; Max-Age=-" + b"9" * digits):
        jar.keep(header, "/", NOW)
        jar.line("/", NOW, secure=True)


def test_an_age_beyond_all_calendars_is_for_ever() -> None:
    assert line(b"a=1; Max-Age=" + b"9" * 309) == b"Cookie: a=1\r\n"
    assert line(b"a=1", b"a=1; Max-Age=-" + b"9" * 309) == b""
