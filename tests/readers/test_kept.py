"""No kept file ends with an internal error: records, baselines, facts, samples, duets and selftests are read or refused."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.runs import run
from tests.readers.damage import damaged, fuzzed, in_words, put
from tests.report import duets
from tests.report.printed.test_capacity import result
from tests.store.test_selftests import made as a_selftest
from tests.store.values import some_samples
from velro_gate.analysis.verdict.judge import judge
from velro_gate.gate.judge.trend import trends
from velro_gate.gate.judge.verdict import judge_kept
from velro_gate.model.run import Reading, RunFacts
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.registry import FORMATS
from velro_gate.report.printed.capacity import capacity_rows, capacity_sentences
from velro_gate.report.printed.trend_page import trend_html
from velro_gate.store.baselines import list_baselines, load_baselines
from velro_gate.store.capacity import CAPACITY, read_capacity
from velro_gate.store.codec import decode_facts, encode_capacity, encode_duet, encode_facts, encode_record, encode_selftest
from velro_gate.store.duets import read_duet
from velro_gate.store.facts import packed_facts
from velro_gate.store.further import read_missing
from velro_gate.store.records import read_facts, read_record
from velro_gate.store.samples import SampleWriter, read_samples
from velro_gate.store.selftests import known_selftest, place_of

pytestmark = [pytest.mark.hostile("damaged records"), pytest.mark.slow]

RUN = run()
RECORD: Any = json.loads(encode_record(RUN, compact=True))


def _unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _damaged_zip(members: Mapping[str, bytes], chance: random.Random) -> bytes:
    """Members are damaged before they are packed, half of the time: otherwise their checksums would give most changes away."""
    file, inside = io.BytesIO(), chance.random() < 0.5
    hit = chance.choice([*members]) if inside else ""
    with zipfile.ZipFile(file, "w") as archive:
        for name, column in members.items():
            archive.writestr(zipfile.ZipInfo(name), damaged(column, chance) if name == hit else column)
    return file.getvalue() if inside else damaged(file.getvalue(), chance)


@fuzzed
def test_any_record_is_judged_and_reported_or_refused(tmp_path: Path, chance: random.Random) -> None:
    record = damaged(RECORD, chance)
    put(tmp_path / "record.json", record)
    with in_words(record):
        read_record(tmp_path)
        if chance.random() < 0.2:
            given = judge_kept(tmp_path, tmp_path / "baselines")
            markdown(*given)
            # In turn, since most of what damages one would damage all.
            chance.choice([*FORMATS.values()]).render(*given)


@fuzzed
def test_any_baseline_is_compared_with_or_skipped_by_name(tmp_path: Path, chance: random.Random) -> None:
    folder = tmp_path / RUN.plan.scenario / "environment"
    folder.mkdir(parents=True, exist_ok=True)
    record = damaged(RECORD, chance)
    put(folder / "20261101T000000Z-abc.json", record)
    with in_words(record):
        found = load_baselines(tmp_path, plan=RUN.plan, environment=RUN.environment)
        assert found.accepted or found.skipped
        if found.accepted and chance.random() < 0.2:
            judge(RUN, found.accepted)
            trend_html(trends(list_baselines(tmp_path), [("p95", "all"), ("throughput", "all")]))


FACTS: Any = json.loads(
    encode_facts(RunFacts(phases=(), readings=(Reading(at=1.0, source="service", name="rss", value=1.5),), layers=("L1",)))
)


@fuzzed
def test_any_facts_and_any_confirmation_are_read_or_refused(tmp_path: Path, chance: random.Random) -> None:
    facts, confirmation = damaged(FACTS, chance), damaged({"schema": 1, "not_run_again": {"steady": "late"}}, chance)
    put(tmp_path / "facts.json", facts)
    put(tmp_path / "confirmation.json", confirmation)
    with in_words(facts):
        read_facts(tmp_path)
    with in_words(confirmation):
        read_missing(tmp_path)


COLUMNS = _unzipped(packed_facts(decode_facts(json.dumps(FACTS))))


@fuzzed
def test_any_columns_of_facts_are_read_or_refused(tmp_path: Path, chance: random.Random) -> None:
    columns = _damaged_zip(COLUMNS, chance)
    put(tmp_path / "facts.npz", columns)
    with in_words(columns):
        read_facts(tmp_path)


CAPACITY_FILE: Any = json.loads(encode_capacity(result()))


@fuzzed
def test_any_capacity_is_shown_or_refused(tmp_path: Path, chance: random.Random) -> None:
    found = damaged(CAPACITY_FILE, chance)
    put(tmp_path / CAPACITY, found)
    with in_words(found):
        kept = read_capacity(tmp_path)
        capacity_rows(kept)
        capacity_sentences(kept)


def _members() -> dict[str, bytes]:
    file = io.BytesIO()
    with SampleWriter(Path("samples.npz"), create=lambda _: file) as writer:
        writer.append("steady", some_samples(6))
        file.close = lambda: None  # type: ignore[method-assign]
    return _unzipped(file.getvalue())


MEMBERS = _members()


@fuzzed
def test_any_samples_are_read_or_refused(tmp_path: Path, chance: random.Random) -> None:
    whole = _damaged_zip(MEMBERS, chance)
    put(tmp_path / "samples.npz", whole)
    with in_words(whole):
        read_samples(tmp_path / "samples.npz")


PAIRS = duets.kept(pairs=1, sd=0.01, steps=("authorization_check",))
DUET: Any = json.loads(encode_duet(PAIRS))


@fuzzed
def test_any_duet_is_judged_and_reported_or_refused(tmp_path: Path, chance: random.Random) -> None:
    if not (tmp_path / "record.json").exists():
        (tmp_path / "record.json").write_text(encode_record(duets.record(PAIRS)), encoding="utf-8")
    pairs = damaged(DUET, chance)
    put(tmp_path / "duet.json", pairs)
    with in_words(pairs):
        read_duet(tmp_path)
        if chance.random() < 0.05:
            markdown(*judge_kept(tmp_path, tmp_path / "baselines"))


SELFTEST = a_selftest()
SELFTEST_FILE: Any = json.loads(encode_selftest(SELFTEST))


@fuzzed
def test_any_selftest_is_read_or_refused(tmp_path: Path, chance: random.Random) -> None:
    selftest = damaged(SELFTEST_FILE, chance)
    put(place_of(tmp_path, SELFTEST.environment), selftest)
    with in_words(selftest):
        known_selftest(tmp_path, SELFTEST.environment)
