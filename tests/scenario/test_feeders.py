"""Feeders give the same rows for the same file or seed, and tell every bad row with its line."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenario.files import faults, load, shop
from velro_gate.model.scenario import Feeder


def feeder(folder: Path, spec: dict[str, Any], seed: int = 1) -> Feeder:
    """The shop's only feeder."""
    (found,) = load({**shop(), "seed": seed, "feeders": {"f": spec}}, folder).feeders
    return found


def file_faults(folder: Path, name: str, content: str | bytes) -> list[str]:
    """What is wrong with a feeder file of this content."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return faults({**shop(), "feeders": {"f": {"file": name}}}, folder)


COLUMNS = {
    "id": "uuid",
    "n": {"integer": [-2, 2]},
    "c": {"choice": ["a", 1, True]},
    "t": {"text": 5},
    "s": {"sequence": "row-"},
}


def test_generated_columns_hold_what_they_say(tmp_path: Path) -> None:
    found = feeder(tmp_path, {"rows": 50, "columns": COLUMNS})
    assert found.columns == ("id", "n", "c", "t", "s")
    ids, numbers, choices, texts, sequence = zip(*found.rows, strict=True)
    assert len({uuid.UUID(one) for one in ids}) == 50
    assert {uuid.UUID(one).version for one in ids} == {4}
    assert set(numbers) == {"-2", "-1", "0", "1", "2"}
    assert set(choices) == {"a", "1", "true"}
    assert all(len(text) == 5 and text.islower() for text in texts)
    assert sequence[:3] == ("row-1", "row-2", "row-3")


def test_the_same_seed_makes_the_same_rows_and_another_makes_others(tmp_path: Path) -> None:
    spec = {"rows": 20, "columns": COLUMNS}
    assert feeder(tmp_path, spec, seed=3) == feeder(tmp_path, spec, seed=3)
    assert feeder(tmp_path, spec, seed=3) != feeder(tmp_path, spec, seed=4)


def test_generated_rows_are_the_same_on_every_machine(tmp_path: Path) -> None:
    """Reference values: a change of them would orphan every stored baseline."""
    found = feeder(tmp_path, {"rows": 2, "columns": {"n": {"integer": [0, 10**6]}, "t": {"text": 6}}}, seed=1)
    assert found.rows == (("28243", "hahjei"), ("482995", "zdqwkx"))


def test_a_column_keeps_its_values_when_another_is_added(tmp_path: Path) -> None:
    alone = feeder(tmp_path, {"rows": 9, "columns": {"id": "uuid"}})
    next_to = feeder(tmp_path, {"rows": 9, "columns": {"a": {"text": 3}, "id": "uuid"}})
    assert [row[0] for row in alone.rows] == [row[1] for row in next_to.rows]


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_a_json_file_gives_back_every_text(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("f")
    (folder / "f.json").write_text(json.dumps([{"a": a, "b": b} for a, b in rows]), encoding="utf-8")
    assert feeder(folder, {"file": "f.json"}).rows == tuple(rows)


def test_a_csv_file_may_quote_and_carry_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text('\ufeffid, name \n1,"a, ""b""\nc"\n\n2,ü\n', encoding="utf-8")
    found = feeder(tmp_path, {"file": "f.csv"})
    assert found.columns == ("id", "name")
    assert found.rows == (("1", 'a, "b"\nc'), ("2", "ü"))


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_what_python_but_not_csv_takes_for_the_end_of_a_line_stays_in_its_cell(tmp_path: Path, character: str) -> None:
    (tmp_path / "rows.csv").write_bytes(f"id,name\r\n1,a{character}b\r\n2,c\n".encode())
    assert feeder(tmp_path, {"file": "rows.csv"}).rows == (("1", f"a{character}b"), ("2", "c"))


def test_a_file_in_a_folder_is_found_from_the_scenarios_own_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f.csv").write_text("id\n1\n", encoding="utf-8")
    assert feeder(tmp_path, {"file": "data/f.csv", "unique": False}).rows == (("1",),)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("f.csv", "id,n\n1\n", "f.csv:2: 1 cells where the header has 2"),
        ("f.csv", 'id\n"a\n', "not valid CSV"),
        ("f.csv", "id,id\n1,2\n", "f.csv:1: the column 'id' is given twice"),
        ("f.csv", "my id\n1\n", "'my id' is not a column name"),
        ("f.csv", b"id\n\xff\n", "is not UTF-8 text"),
        ("f.csv", "", "has no rows"),
        ("f.json", "[", "not valid JSON"),
        ("f.json", '{"id": 1}', "a list of mappings is expected"),
        ("f.json", "[1]", "a list of mappings is expected"),
        ("f.json", "[]", "has no rows"),
        ("f.json", '[{"id": null}]', "f.json:1: this row contains a list, a mapping or null"),
        ("f.json", '[{"id": 1},\n\n {"id": 1, "n": 2}]', "f.json:3: this row has the keys ['id', 'n'], the first one ['id']"),
        ("f.json", "[" * 100_000, "not valid JSON"),
        ("f.txt", "id\n1\n", "is neither .csv nor .json"),
    ],
)
@pytest.mark.hostile("small inputs")
def test_a_bad_feeder_file_is_reported_with_its_line(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    reported = file_faults(tmp_path, name, content)
    assert any(expected in fault for fault in reported), reported


@pytest.mark.hostile("small inputs")
def test_many_bad_rows_are_counted_and_not_all_reported(tmp_path: Path) -> None:
    reported = file_faults(tmp_path, "f.csv", "id,n\n" + "1\n" * 1000)
    assert len(reported) == 6
    assert reported[-1].endswith("995 more bad rows")


def test_a_folder_is_no_feeder_file(tmp_path: Path) -> None:
    (tmp_path / "f.csv").mkdir()
    (fault,) = faults({**shop(), "feeders": {"f": {"file": "f.csv"}}}, tmp_path)
    assert "cannot be read" in fault


def test_a_unique_feeder_with_a_row_for_each_user_is_fine(tmp_path: Path) -> None:
    assert feeder(tmp_path, {"rows": 10, "unique": True, "columns": {"id": "uuid"}}).unique


def test_placeholders_of_an_unreadable_feeder_are_no_faults_of_their_own(tmp_path: Path) -> None:
    data = {**shop(), "feeders": {"f": {"file": "absent.csv"}, "g": {"rows": -1, "columns": {"id": "uuid"}}}}
    data["steps"][0]["query"] = {"a": "${f.id}", "b": "${g.id}"}
    reported = faults(data, tmp_path)
    assert len(reported) == 2
    assert "there is no feeder file" in "".join(reported)
    assert "feeders.g" in "".join(reported) or "rows" in "".join(reported)


@pytest.mark.hostile("small inputs")
def test_what_would_take_all_memory_or_time_is_refused_before_it_is_made(tmp_path: Path) -> None:
    spec = {"rows": 1_000_000, "columns": {"t": {"text": 10_000}}}
    (found,) = faults({**shop(), "feeders": {"f": spec}}, tmp_path)
    assert "would hold some 10,000,000,000 bytes, more than 64,000,000" in found
    (found,) = file_faults(tmp_path, "wide.csv", ",".join(f"c{n}" for n in range(100_000)) + "\n")
    assert "100,000 columns, more than 1,000" in found
