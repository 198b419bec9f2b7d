"""YAML is read as plain values with lines, whatever the text; nothing in it is obeyed, and nothing in it can blow up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.errors import ScenarioError
from velro_gate.scenario.syntax.faults import Faults
from velro_gate.scenario.syntax.tree import MOST_CHARACTERS, LinedDict, LinedList, LinedValue, line_of, read_tree

numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
letters = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Co"], exclude_characters="\ufeff"))
scalars = st.none() | st.booleans() | numbers | letters
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(letters, inner, max_size=4), max_leaves=20
)


def read(text: str) -> tuple[LinedValue, list[str]]:
    """A value and the faults found on the way."""
    faults = Faults("f.yaml")
    value = read_tree(text, faults)
    try:
        faults.raise_all()
    except ScenarioError as error:
        return value, [str(fault) for fault in error.faults]
    return value, []


@given(values)
def test_what_is_written_as_json_is_read_back_as_it_was(value: object) -> None:
    """JSON is a part of YAML, so the standard library's writer is an oracle for this reader."""
    tree, faults = read(json.dumps({"value": value}, ensure_ascii=False))
    assert not faults
    assert tree == {"value": value}


@given(st.text(max_size=300))
def test_any_text_gives_a_value_or_faults_and_never_another_error(text: str) -> None:
    value, faults = read(text)
    assert value is not None or faults


@given(st.text(alphabet="&*![]{}:-?|>'\"#%@`,\t\n ab1", max_size=80))
def test_any_mix_of_yaml_signs_gives_a_value_or_faults(text: str) -> None:
    value, faults = read(text)
    assert value is not None or faults


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("10", 10),
        ("-3", -3),
        ("+4", 4),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("yes", "yes"),
        ("off", "off"),
        ("007", "007"),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("10,000", "10,000"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ('"10"', "10"),
        ("'true'", "true"),
        ("9" * 31, "9" * 31),
    ],
)
def test_plain_words_follow_the_core_schema_and_quoted_ones_are_texts(word: str, value: object) -> None:
    tree, faults = read(f"key: {word}\n")
    assert not faults
    assert tree == {"key": value}
    assert isinstance(tree, LinedDict)
    assert type(tree["key"]) is type(value)


@pytest.mark.parametrize(
    "text", ['a: 1\nb: "\\U00110000"\n', 'a: 1\nb: "\\UFFFFFFFF"\n', f"#\n%YAML 1.{'9' * 5_000}\n---\na: 1\n"], ids=range(3)
)
def test_what_the_yaml_library_stumbles_over_is_refused_at_its_line(text: str) -> None:
    _, faults = read(text)
    assert faults == [
        "f.yaml:2: an escape stands for no character, or a number in a directive is too long "
        "(the last character is \\U0010FFFF)"
    ]


def test_every_key_and_item_knows_its_line() -> None:
    tree, _ = read("a: 1\nb:\n  - x\n  -\n    c: 2\n    d: [1,\n      2]\n")
    assert line_of(tree) == 1
    assert line_of(tree, ["b"]) == 2
    assert line_of(tree, ["b", 0]) == 3
    assert line_of(tree, ["b", 1, "c"]) == 5
    assert line_of(tree, ["b", 1, "d", 1]) == 7


def test_parts_of_a_path_that_do_not_exist_are_passed_over() -> None:
    tree, _ = read("a:\n  b:\n    - c: 1\n")
    assert line_of(tree, ["by metric", "a", "function", "b", 0, "missing"]) == 3
    assert line_of(tree, ["a", "b", 7]) == 2
    assert line_of("text", ["a"]) == 1


def test_keys_are_always_texts() -> None:
    tree, faults = read("1: a\ntrue: b\nnull: c\n1.0: d\n")
    assert not faults
    assert tree == {"1": "a", "true": "b", "null": "c", "1.0": "d"}


def test_an_anchor_stands_for_the_same_value() -> None:
    tree, faults = read("a: &x {b: 1}\nc: *x\nd: [*x, *x]\n")
    assert not faults
    assert tree == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}, {"b": 1}]}


def test_an_anchor_cannot_hold_itself() -> None:
    _, faults = read("a: &x [1, *x]\n")
    assert faults == ["f.yaml:1: *x names no anchor that stands complete above it"]


def test_a_bomb_of_anchors_is_refused_before_it_is_expanded() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 60)
    )
    _, (fault,) = read(bomb)
    assert "expands to more than 20,000 values" in fault


@pytest.mark.parametrize("text", ["[" * 5_000, "{a: " * 5_000, "- " * 5_000 + "x", "[{a: " * 3_000])
def test_deep_nesting_is_refused_and_not_a_crash(text: str) -> None:
    _, (fault,) = read(text)
    assert "nested deeper than 40 levels" in fault


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!local", "!!int", "!!binary", "!"])
def test_no_tag_is_obeyed(tag: str) -> None:
    _, faults = read(f"a: {tag} x\n")
    assert len(faults) == 1
    assert "is not allowed" in faults[0]


def test_a_file_that_is_far_too_long_is_refused_unread() -> None:
    _, faults = read("a" * (MOST_CHARACTERS + 1))
    assert faults == ["f.yaml:1: the file has more than 1,000,000 characters, which is too many"]


def test_a_control_character_is_reported_with_its_line() -> None:
    _, faults = read("a: 1\nb: \x07\n")
    assert faults == ["f.yaml:2: the character #x0007 is not allowed in YAML"]


def test_all_duplicate_keys_are_reported_and_the_first_value_stands() -> None:
    tree, faults = read("a: 1\na: 2\nb: {c: 1, c: 2}\n")
    assert [fault.split(": ", 1)[0] for fault in faults] == ["f.yaml:2", "f.yaml:3"]
    assert tree == {"a": 1, "b": {"c": 1}}


def test_two_halves_of_a_character_are_joined_and_a_lone_half_is_refused() -> None:
    assert read('a: "\\ud83d\\ude80"\n') == ({"a": "\N{ROCKET}"}, [])
    _, faults = read('a: 1\nb: "\\ud83d"\n')
    assert faults == ["f.yaml:2: this text contains half a character, which cannot be sent"]


def test_a_mapping_as_key_is_refused() -> None:
    _, faults = read("c: 2\n{a: 1}: b\n")
    assert faults == ["f.yaml:2: a key must be a word (quote a text that starts with '{', '[', '*' or '?')"]


def test_lists_and_mappings_compare_as_plain_values() -> None:
    tree, _ = read("[1, {a: b}]")
    assert isinstance(tree, LinedList)
    assert tree == [1, {"a": "b"}]


def test_the_same_fault_is_reported_once_and_faults_come_by_line() -> None:
    faults = Faults("f.yaml")
    faults.add(9, "late")
    faults.add(2, "early")
    faults.add(9, "late")
    with pytest.raises(ScenarioError) as caught:
        faults.raise_all()
    assert [str(fault) for fault in caught.value.faults] == ["f.yaml:2: early", "f.yaml:9: late"]
