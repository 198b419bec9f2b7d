"""Files that an earlier version wrote are read, judged and shown.

``former`` holds what commit a1b2b45 made of a short duet and of a selftest, made small: fewer pairs, no windows. It knew doubts
and advice as sentences, without a code or facts.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from velro_gate.analysis.verdict.judge_duet import judge_duet_record
from velro_gate.model.facts.doubts import Worded
from velro_gate.report.formats.registry import FORMATS
from velro_gate.report.printed.selftest import selftest_sentences
from velro_gate.store.codec import decode_duet, decode_selftest, encode_duet, encode_selftest
from velro_gate.store.duets import DUET, read_duet
from velro_gate.store.records import RECORD, read_record
from velro_gate.store.selftests import known_selftest, place_of

FORMER = Path(__file__).parent / "former"


def doubts(text: str) -> list[dict[str, str]]:
    """The doubts of all blocks in the text of a duet."""
    pairs = json.loads(text)["duet"]["pairs"]
    return [doubt for pair in pairs for side in ("base", "head") for doubt in pair[side]["doubts"]]


def test_the_doubts_of_a_former_duet_keep_their_words() -> None:
    text = (FORMER / DUET).read_text(encoding="utf-8")
    kept = read_duet(FORMER)
    assert kept is not None
    read = [doubt.facts for pair in kept.duet.pairs for block in (pair.base, pair.head) for doubt in block.doubts]
    assert read == [Worded(code=doubt["code"], sentence=doubt["sentence"], advice=doubt["advice"]) for doubt in doubts(text)]
    assert read


def test_a_former_duet_is_judged_and_every_report_shows_its_doubts() -> None:
    record, kept = read_record(FORMER), read_duet(FORMER)
    assert kept is not None
    verdict = judge_duet_record(record, kept)
    assert verdict.duet is not None
    assert {pair.base.phases[0].name for pair in kept.duet.pairs} == {"steady"}
    reports = {name: each.render(record, verdict) for name, each in FORMATS.items()}
    said = doubts((FORMER / DUET).read_text(encoding="utf-8"))[0]["code"]
    assert said in reports["json"]


def test_a_former_duet_that_is_written_again_is_the_same_duet() -> None:
    former = decode_duet((FORMER / DUET).read_text(encoding="utf-8"))
    assert decode_duet(encode_duet(former)) == former


def test_a_former_selftest_is_found_for_its_runner_and_its_advice_is_shown_as_it_was_written(tmp_path: Path) -> None:
    text = (FORMER / "selftest.json").read_text(encoding="utf-8")
    one = decode_selftest(text)
    shutil.copy(FORMER / "selftest.json", place_of(tmp_path, one.environment))
    found = known_selftest(tmp_path, one.environment)
    assert found == one == decode_selftest(encode_selftest(one))
    assert found.quote.p95_noise is not None
    advice = json.loads(text)["advice"]
    assert advice
    shown = "\n".join(selftest_sentences(found))
    assert all(sentence in shown for sentence in advice)


@pytest.mark.parametrize("name", [RECORD, DUET, "selftest.json"])
def test_what_is_kept_for_this_test_is_small_and_was_written_by_the_former_version(name: str) -> None:
    text = (FORMER / name).read_text(encoding="utf-8")
    assert len(text) < 30_000
    assert json.loads(text)["schema"] == 1
    assert '"facts"' not in text
