"""The kept pairs of a duet: a round trip, and what is no such file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.duets import block, duet, noisy, pair
from tests.analysis.runs import run, summary
from velro_gate.analysis.verdict.judge_duet import judge_duet
from velro_gate.errors import RecordError
from velro_gate.model.duet import DuetRecord, Look, Side
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.record import Estimate, Revision
from velro_gate.model.verdict import Level, Trust, TrustFinding
from velro_gate.store.codec import CodecError, OtherSchemaError, decode_duet, encode_duet
from velro_gate.store.duets import DUET, read_duet, write_duet
from velro_gate.store.records import read_record

pytestmark = pytest.mark.hostile("damaged records")

DOUBT = TrustFinding(
    trust=Trust.CAVEAT, phase="steady", figure=0.03, limit=0.02, facts=Worded(code="steal", sentence="taken", advice="ask")
)


def kept(pairs: int = 2) -> DuetRecord:
    doubted = pair(block(doubts=(DOUBT,), controlled=0.001), block(controlled=0.0012), first=Side.HEAD)
    held = noisy(pairs)
    return DuetRecord(
        duet=replace(held, pairs=(*held.pairs, doubted), looks=(Look(pairs=10, alpha=0.01),)),
        warm_up=4.0,
        block_seconds=15.0,
        restarted=True,
        base=Revision(sha="b" * 40, branch="main", label="base"),
    )


@pytest.mark.parametrize("pairs", [0, 1, 10])
def test_what_is_kept_is_what_is_read(tmp_path: Path, pairs: int) -> None:
    write_duet(tmp_path, run(), kept(pairs))
    assert read_duet(tmp_path) == read_duet(tmp_path / "record.json") == kept(pairs)
    assert read_record(tmp_path) == run()


def test_pairs_that_a_former_version_kept_are_judged_by_the_looks_it_had() -> None:
    """It knew neither balanced orders nor a level of "unchanged" of each look's own."""
    text = encode_duet(replace(kept(), duet=noisy(10)))
    tree = json.loads(text)
    del tree["duet"]["balance"]
    tree["duet"]["looks"] = [{"pairs": 10, "alpha": 0.004}, {"pairs": 16, "alpha": 0.006}]
    former = decode_duet(json.dumps(tree)).duet
    assert (former.balance, [look.beta for look in former.looks]) == ((), [0.05, 0.05])
    assert judge_duet(former).level is Level.PASS


def test_an_empty_duet_is_kept_as_well(tmp_path: Path) -> None:
    empty = replace(kept(), duet=duet())
    assert decode_duet(encode_duet(empty)) == empty


def test_a_run_has_no_pairs(tmp_path: Path) -> None:
    assert read_duet(tmp_path) is None
    assert read_duet(tmp_path / "record.json") is None


def test_a_file_of_another_name_next_to_a_duet_is_not_that_duet(tmp_path: Path) -> None:
    write_duet(tmp_path, run(), kept())
    assert read_duet(tmp_path / "another.json") is None


def test_another_versions_pairs_are_refused(tmp_path: Path) -> None:
    text = encode_duet(kept()).replace('"schema":1', '"schema":2')
    with pytest.raises(OtherSchemaError, match="a newer velro-gate"):
        decode_duet(text)
    (tmp_path / DUET).write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match="the pairs of the duet cannot be read"):
        read_duet(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"schema": 1, "duet": {}}'])
def test_what_is_no_duet_is_refused_in_words(text: str) -> None:
    with pytest.raises(CodecError):
        decode_duet(text)


def test_a_figure_that_is_no_number_is_never_written() -> None:
    bad = replace(summary(), measured_seconds=float("nan"))
    with pytest.raises(CodecError):
        encode_duet(replace(kept(), duet=duet(pair(block(bad), block()))))


def test_estimates_keep_their_intervals() -> None:
    again = decode_duet(encode_duet(kept()))
    found = again.duet.pairs[0].base.phases[0].measurement("p95")
    assert isinstance(found, Estimate)
    assert found.low < found.value < found.high
