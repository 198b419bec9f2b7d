from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.sandbox.catalogue import (
    MODELS,
    generation_number,
    media_number,
    model_name,
    model_number,
    seeded_generations,
    user_number,
)

NUMBERS = st.integers(min_value=0, max_value=10**8)


@given(NUMBERS, st.sampled_from(["", "user-", "u", "vu_", "user"]), st.integers(min_value=0, max_value=3))
def test_a_user_is_known_by_number_whatever_word_and_zeros_stand_before_it(number: int, word: str, zeros: int) -> None:
    assert user_number(f"{word}{'0' * zeros}{number}", 1_000) == number


@given(st.text(alphabet="abcdef-", min_size=1, max_size=40), st.text(alphabet="abcdef-", min_size=1, max_size=40))
def test_names_without_a_number_get_stable_numbers_of_their_own_outside_the_catalogue(one: str, other: str) -> None:
    assert user_number(one, 1_000) == user_number(one, 1_000) > 10**12
    assert (user_number(one, 1_000) == user_number(other, 1_000)) == (one == other)


@given(st.uuids(), st.integers(min_value=1, max_value=20_000))
def test_a_uuid_stands_for_one_person_of_the_catalogue_however_it_is_written(user: UUID, users: int) -> None:
    number = user_number(str(user), users)
    assert 0 <= number < users
    assert number == user_number(str(user).upper(), users)


@given(NUMBERS)
def test_ids_of_each_kind_give_their_number_back(number: int) -> None:
    assert (
        generation_number(f"gen-{number}")
        == generation_number(f"resource-{number}")
        == generation_number(str(number))
        == number
    )
    assert media_number(f"media-{number}") == number


@pytest.mark.parametrize("text", ["", "gen", "gen-", "gen-x", "gen--1", "media-7", "7 OR 1=1", "gen-1234567890123456", "-"])
def test_what_is_no_generation_id_has_no_number(text: str) -> None:
    assert generation_number(text) is None


def test_an_id_of_one_kind_is_not_an_id_of_another() -> None:
    assert media_number("gen-7") is None
    assert model_number("media-7") is None
    assert model_number("model-7") == 7


@given(st.integers(min_value=1, max_value=200))
def test_every_user_owns_equally_many_generations_and_each_names_an_existing_model(users: int) -> None:
    made = list(seeded_generations(users))
    assert [one.number for one in made] == list(range(2 * users))
    assert sorted(one.owner for one in made) == sorted([*range(users), *range(users)])
    assert all(one.model in MODELS and one.shared for one in made)


def test_models_have_different_names() -> None:
    assert len({model_name(number) for number in MODELS}) == len(MODELS) == 24
