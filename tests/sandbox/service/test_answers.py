from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from velro_gate.sandbox.catalogue import Access, Generation
from velro_gate.sandbox.service import answers

NUMBERS = st.integers(min_value=0, max_value=2**62)


@given(NUMBERS, NUMBERS, NUMBERS, st.booleans())
def test_who_owns_a_generation_or_shares_in_it_may_use_it_and_nobody_else(
    user: int, number: int, owner: int, shared: bool
) -> None:
    said = json.loads(answers.authorization(user, number, answers.access(Access(owner, shared))))
    assert said["allowed"] is (user == owner or shared)
    assert said["role"] == ("owner" if user == owner else "member" if shared else None)
    assert said["id"] == f"gen-{number}"


@given(
    st.lists(st.builds(Generation, NUMBERS, NUMBERS, st.integers(1, 24), st.text(), st.sampled_from(["queued"]), st.booleans()))
)
def test_a_list_gives_every_prompt_back_as_it_was_written_in_the_order_given(items: list[Generation]) -> None:
    said = json.loads(answers.generation_list(items, len(items) + 3))
    assert said["total"] == len(items) + 3
    assert [(one["id"], one["prompt"]) for one in said["items"]] == [(f"gen-{one.number}", one.prompt) for one in items]


@given(st.text())
def test_a_reason_is_given_as_it_is_whatever_characters_it_holds(reason: str) -> None:
    assert json.loads(answers.error(reason)) == {"error": reason}


def test_bodies_are_compact() -> None:
    assert answers.created(7) == b'{"id":"gen-7","status":"queued"}'
