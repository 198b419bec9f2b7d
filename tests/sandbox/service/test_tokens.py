from __future__ import annotations

import base64
import json

import jwt
import pytest

from tests.sandbox.clock import FakeClock
from velro_gate.sandbox.service.tokens import ISSUER, Identity, TokenError, Verifier, issue_key, issue_token

SECRET = "s" * 32
OTHER_SECRET = "o" * 32


def verifier(clock: FakeClock, remembered: float = 30.0) -> Verifier:
    return Verifier(SECRET, remembered=remembered, clock=clock)


def claims(clock: FakeClock, **changed: object) -> dict[str, object]:
    return {"iss": ISSUER, "sub": "user-1", "role": "user", "exp": clock.now + 60, **changed}


def unsigned(given: dict[str, object], algorithm: str) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(given)}."


def test_a_service_key_speaks_for_the_service() -> None:
    clock = FakeClock()
    identity = verifier(clock).verify(issue_key(SECRET, now=clock.now))
    assert (identity.subject, identity.role) == ("service", "service")


def test_a_users_token_speaks_for_the_user_until_it_expires() -> None:
    clock = FakeClock()
    token = issue_token(SECRET, "user-3", "user", seconds=60, now=clock.now)
    checks = verifier(clock)
    assert checks.verify(token) == Identity("user-3", "user", 1_060.0)
    clock.advance(59)
    assert checks.verify(token).subject == "user-3"
    clock.advance(1)
    with pytest.raises(TokenError, match="expired"):
        checks.verify(token)


def test_a_remembered_token_is_not_believed_beyond_its_expiry() -> None:
    clock = FakeClock()
    checks = verifier(clock, remembered=3_600)
    token = issue_token(SECRET, "user-3", "user", seconds=10, now=clock.now)
    checks.verify(token)
    clock.advance(11)
    with pytest.raises(TokenError, match="expired"):
        checks.verify(token)


def test_a_token_that_was_never_good_is_refused_as_expired_at_once() -> None:
    clock = FakeClock()
    with pytest.raises(TokenError, match="expired"):
        verifier(clock).verify(issue_token(SECRET, "user-3", "user", seconds=-1, now=clock.now))


def test_a_signature_by_another_secret_is_refused() -> None:
    clock = FakeClock()
    with pytest.raises(TokenError, match="signature"):
        verifier(clock).verify(issue_key(OTHER_SECRET, now=clock.now))


def test_changed_claims_are_refused() -> None:
    clock = FakeClock()
    head, _, signature = issue_token(SECRET, "user-3", "user", now=clock.now).split(".")
    forged = unsigned(claims(clock, role="service"), "HS256").split(".")[1]
    with pytest.raises(TokenError, match="signature"):
        verifier(clock).verify(f"{head}.{forged}.{signature}")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "RS256"])
def test_an_unsigned_token_is_refused_whatever_it_says_about_its_algorithm(algorithm: str) -> None:
    clock = FakeClock()
    with pytest.raises(TokenError):
        verifier(clock).verify(unsigned(claims(clock, role="service"), algorithm))


def test_another_algorithm_with_the_right_secret_is_refused() -> None:
    clock = FakeClock()
    secret = "s" * 64
    token = jwt.encode(claims(clock), secret, algorithm="HS512")
    with pytest.raises(TokenError, match="not one of ours"):
        Verifier(secret, remembered=30.0, clock=clock).verify(token)


@pytest.mark.parametrize(
    "changed", [{"iss": "somebody"}, {"role": "admin"}, {"role": None}, {"exp": None}, {"exp": "soon"}, {"sub": None}]
)
def test_claims_that_are_not_ours_are_refused_even_when_signed(changed: dict[str, object]) -> None:
    clock = FakeClock()
    kept = {name: value for name, value in claims(clock, **changed).items() if value is not None}
    with pytest.raises(TokenError):
        verifier(clock).verify(jwt.encode(kept, SECRET, algorithm="HS256"))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "é.ü.ß", "a" * 9_000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(TokenError):
        verifier(FakeClock()).verify(token)
