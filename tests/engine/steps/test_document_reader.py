"""Long JSON bodies are read by a process of their own, and a run without such a body starts none."""

from __future__ import annotations

import json
import sys

import psutil
import pytest

from velro_gate.engine.steps.document_reader import DocumentReader
from velro_gate.engine.steps.documents import ABSENT, JsonPath

BODY = json.dumps({"items": [{"id": 7, "name": "\U0001f600"}], "rest": "x" * 1_000_000}, ensure_ascii=False).encode()
PATHS: list[JsonPath] = [("items", 0, "id"), ("items", 0, "name"), ("none",)]
STRANGE = r"import sys; sys.stdout.buffer.write(bytes(7) + b'\3xyz'); sys.stdout.flush(); sys.stdin.buffer.read()"
VALUES = [7, "\U0001f600", ABSENT]


def children() -> set[int]:
    return {each.pid for each in psutil.Process().children()}


def test_a_process_reads_one_body_after_the_other_and_is_gone_once_it_is_closed() -> None:
    before, reader = children(), DocumentReader()
    assert children() == before
    for body, found in ((BODY, VALUES), (b"{", None), (b"[" * 100_000, None), (BODY, VALUES)):
        assert reader.values(body, PATHS) == found
        assert len(children() - before) == 1
    reader.close()
    reader.close()
    assert children() == before


@pytest.mark.parametrize(
    "command",
    [("/no/such/program",), (sys.executable, "-c", ""), (sys.executable, "-c", STRANGE)],
    ids=["absent", "ended", "strange"],
)
def test_without_the_process_a_body_is_read_all_the_same(command: tuple[str, ...]) -> None:
    before, reader = children(), DocumentReader(command)
    assert [reader.values(BODY, PATHS) for _ in range(2)] == [VALUES, VALUES]
    assert children() == before
