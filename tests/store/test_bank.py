"""A bank in its file of lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.banks import bank
from velro_gate.errors import OutputError, RecordError, UsageError
from velro_gate.model.bank import Bank
from velro_gate.store.bank import append_block, read_bank, resume_bank


def written(path: Path, cycles: int = 2) -> Bank:
    made = bank(cycles)
    resume_bank(path, made.head)
    for block in made.blocks:
        append_block(path, block)
    return made


def test_a_bank_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    made = written(path)
    assert read_bank(path) == made
    assert resume_bank(path, made.head) == made


def test_what_a_crash_left_of_a_line_and_of_a_cycle_is_dropped_when_it_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    made = written(path)
    text = path.read_text()
    path.write_text(text[: text.rindex('"times"')])
    taken = resume_bank(path, made.head)
    assert taken.blocks == made.blocks[:4]
    append_block(path, made.blocks[4])
    assert read_bank(path).blocks == made.blocks[:5]


def test_a_damaged_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    written(path)
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace('"cycle":0', '"cycle":"first"')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordError) as raised:
        read_bank(path)
    assert raised.value.where == f"{path}:4"
    assert "cycle" in raised.value.why


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"{}\n", b'{"schema": 99}\n'])
def test_a_file_that_is_no_bank_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bank.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordError, match="the bank cannot be read"):
        resume_bank(path, bank(1).head)


def test_no_file_and_a_folder_are_no_bank(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(RecordError):
            read_bank(place)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 2}, "seed"),
        ({"seconds": 5.0}, "length of blocks"),
        ({"plan": None}, "plan"),
        ({"environment": None}, "environment"),
    ],
)
def test_blocks_made_in_another_way_do_not_come_into_the_same_bank(
    tmp_path: Path, changed: dict[str, object], named: str
) -> None:
    path = tmp_path / "bank.jsonl"
    head = written(path, 1).head
    if "plan" in changed:
        changed = {"plan": replace(head.plan, digest="another")}
    if "environment" in changed:
        changed = {"environment": replace(head.environment, cores=64)}
    with pytest.raises(UsageError, match=named):
        resume_bank(path, replace(head, **changed))  # type: ignore[arg-type]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        append_block(tmp_path / "none" / "bank.jsonl", bank(1).blocks[0])
