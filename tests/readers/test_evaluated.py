"""No file that ``velro-gate evaluate`` reads ends with an internal error: banks and series are read or refused."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.banks import bank
from tests.readers.damage import changed, damaged, fuzzed, in_words, put
from tests.series import write_all
from velro_gate.evaluation.recorded.series_files import read_series
from velro_gate.store.bank import append_block, read_bank, resume_bank

pytestmark = [pytest.mark.hostile("damaged records"), pytest.mark.slow]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The first lines of a bank: how it was made, and a block."""
    path, made = tmp_path_factory.mktemp("bank") / "bank.jsonl", bank(1)
    resume_bank(path, made.head)
    append_block(path, made.blocks[0])
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@fuzzed
def test_any_bank_is_read_or_refused(tmp_path: Path, lines: list[Any], chance: random.Random) -> None:
    text = damaged("".join(f"{json.dumps(line)}\n" for line in listed(changed(lines, chance))), chance)
    put(tmp_path / "bank.jsonl", text)
    with in_words(text):
        read_bank(tmp_path / "bank.jsonl")


def listed(value: Any) -> list[Any]:
    """A list that may have been changed into anything."""
    return value if isinstance(value, list) else []


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """Every format of a series, as the cells of its first lines, by the path of its file."""
    root = tmp_path_factory.mktemp("series")
    write_all(root)
    (root / "mine").mkdir()
    rows = "".join(f"s,j{job},{job},,login,p95,0.0{job}\n" for job in range(1, 10))
    (root / "mine/runs.csv").write_text(f"series,job,time,arm,figure,kind,value\n{rows}", encoding="utf-8")
    found = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        raw = path.read_bytes()
        lines = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().splitlines()
        found[path.relative_to(root).as_posix()] = [line.split(",") for line in lines[:14]]
    return found


@fuzzed
def test_any_series_is_read_or_refused(tmp_path: Path, series: dict[str, list[list[str]]], chance: random.Random) -> None:
    hit = chance.choice([*series])
    # Each place has a folder of its own, whose files are written anew: to remove folders takes longer than to read them.
    root = tmp_path / hit.replace("/", "-")
    (root / hit).parent.mkdir(parents=True, exist_ok=True)
    for name, rows in series.items():
        # The labels of a history lie beside it.
        if Path(name).parent == Path(hit).parent and (name == hit or "app_" in name):
            cells = listed(changed(rows, chance)) if name == hit else rows
            text = "".join(f"{','.join(map(str, listed(line)))}\n" for line in cells)
            content = damaged(text, chance) if name == hit else text.encode()
            put(root / name, gzip.compress(content) if name.endswith(".gz") else content)
    with in_words(hit, (root / hit).read_bytes()):
        read_series(root)
