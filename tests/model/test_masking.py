"""A masked text holds no secret in any spelling, and whatever is no secret stays as it is."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.model.masking import MASK, SHORTEST, is_strong, mask, secret_values

pytestmark = pytest.mark.hostile("tokens and canaries")

secrets = st.text(min_size=SHORTEST, max_size=20).filter(lambda secret: MASK not in secret and not set(secret) <= set("*"))


@given(st.text(), st.lists(secrets, min_size=1, max_size=4), st.text())
def test_no_secret_is_left_in_a_masked_text(before: str, values: list[str], after: str) -> None:
    # What stands around may not be a part of a secret: it could not be told from one.
    text = before + " ".join(values) + after
    masked = mask(text, values)
    for value in values:
        assert value not in masked.replace(MASK, "\0")


@given(secrets)
def test_a_secret_is_masked_in_urls_and_in_json_too(value: str) -> None:
    for spelling in (
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
    ):
        assert mask(f"<{spelling}>", [value]) == f"<{MASK}>"


@given(st.text(), st.lists(secrets, max_size=3))
def test_masking_twice_changes_nothing_more(text: str, values: list[str]) -> None:
    once = mask(text, values)
    assert mask(once, values) == once


@given(st.text(alphabet="abcdefghij .,\n", max_size=60))
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert mask(text, ["SECRET-1", "SECRET-2"]) == text


def test_a_secret_that_holds_another_leaves_no_rest() -> None:
    assert mask("key-long-tail key-long", ["key-long", "key-long-tail"]) == f"{MASK} {MASK}"


def test_a_very_short_value_masks_nothing() -> None:
    assert mask("a 1 ab", ["a", "1", "", "abc"]) == "a 1 ab"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcdefghijkl0123", f"Authorization: Bearer {MASK}"),
        ("authorization: bearer a.b-c_d~e+f/gh1234==", f"authorization: bearer {MASK}"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl back", f"got {MASK} back"),
        ("redis://:hunter2@cache:6379/0", f"redis://:{MASK}@cache:6379/0"),
        ("postgresql://velro:hunter2@db/velro failed", f"postgresql://velro:{MASK}@db/velro failed"),
        ("http://127.0.0.1:8400/health", "http://127.0.0.1:8400/health"),
        ("the bearer of news", "the bearer of news"),
    ],
)
def test_what_has_the_shape_of_a_credential_is_masked_whoever_it_belongs_to(text: str, masked: str) -> None:
    assert mask(text, []) == masked


def test_what_variables_hold_is_a_secret_by_their_name_or_inside_of_a_url() -> None:
    environ = {
        "SUPABASE_SERVICE_KEY": "a-key ",
        "API_TOKEN": "a-token",
        "DATABASE_URL": "postgresql://velro:pass%20word@db/velro?sslmode=require&sslpassword=other",
        "SSH_KEY_FILE": "/srv/me/.ssh/id",
        "HOME": "/srv/me",
        "LANG": "C",
        "BAD_URL": "http://[broken",
    }
    assert secret_values(environ) == ["a-key", "a-token", "pass%20word", "pass word", "other", "other"]
    assert mask("failed: pass word, /srv/me", secret_values(environ)) == f"failed: {MASK}, /srv/me"


@pytest.mark.slow
@pytest.mark.parametrize("before", [(1 << 18) - 30, (1 << 18) - 5, 3 << 18])
def test_a_secret_is_found_wherever_it_stands_in_a_long_text(before: int) -> None:
    filling = "filling " * (before // 8)
    assert mask(f"{filling}{quote('se/cret-1&2')} {filling}", ["se/cret-1&2"]) == f"{filling}{MASK} {filling}"


@pytest.mark.parametrize(
    ("secret", "strong"),
    [("postgres", False), ("s3cret", True), ("12345678", False), ("123456789", True), ("a" * 16, True), ("a-1", False)],
)
def test_a_word_or_a_number_is_no_strong_secret(secret: str, strong: bool) -> None:
    assert is_strong(secret) is strong
