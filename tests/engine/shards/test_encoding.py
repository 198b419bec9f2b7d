"""What a shard says comes back as it was, and what no shard says is refused without running any of it."""

from __future__ import annotations

import errno
import json
import pickle
import struct
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.reduce import reduced
from velro_gate.engine.shards.encoding import packed_message, unpacked_message
from velro_gate.engine.shards.messages import (
    Alive,
    Failed,
    Finished,
    LoadEnded,
    PhaseBegan,
    Ready,
    ReducedChunk,
    SampleChunk,
    Seen,
    Stop,
)
from velro_gate.errors import BrokenError, JourneyError, ScenarioError, UsageError
from velro_gate.model.run import (
    FirstFailure,
    GeneratorHealth,
    ObservedValues,
    PhaseRun,
    Progress,
    Stage,
    Stall,
    Tick,
)
from velro_gate.model.samples import COLUMNS, Samples

times = st.floats(min_value=0.0, max_value=1e6)
counts = st.integers(min_value=0, max_value=2**63)
texts = st.text(max_size=20)
health = st.builds(
    GeneratorHealth,
    cpu_share=times,
    steal_share=st.none() | times,
    loop_lag_p99=times,
    loop_lag_max=times,
    gc_full_collections=counts,
    gc_pause_max=times,
    rss_start=counts,
    rss_peak=counts,
    descriptors_free=st.none() | counts,
    ports_free=st.none() | counts,
)
numbers = st.lists(times, max_size=3).map(tuple)


def tuples(of: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(of, max_size=3).map(tuple)


@st.composite
def phase_runs(draw: st.DrawFn) -> PhaseRun:
    started, measured_from, measured_until, ended = sorted(draw(st.tuples(times, times, times, times)))
    book = st.dictionaries(texts, counts, max_size=3)
    some = draw(st.lists(counts, min_size=5, max_size=5))
    return PhaseRun(
        name=draw(texts),
        started=started,
        measured_from=measured_from,
        measured_until=measured_until,
        ended=ended,
        users=some[0],
        due=draw(book),
        blocked=draw(book),
        missed=draw(book),
        sent_total=some[1],
        delivered_total=some[2],
        connections_opened=some[3],
        reconnects=some[4],
        retries=0,
        ticks=draw(tuples(st.builds(Tick, **{each.name: counts for each in fields(Tick)} | {"at": times}))),
        health=draw(health),
        interrupted=draw(st.booleans()),
        service_gone=draw(st.none() | texts),
        shards_lost=draw(tuples(texts)),
        stalls=draw(tuples(times.map(lambda at: Stall(start=at, end=at)))),
        failures=draw(tuples(st.builds(FirstFailure, at=times))),
        values=draw(tuples(st.builds(ObservedValues, name=texts, at=numbers, value=numbers))),
    )


progress = st.builds(
    Progress,
    stage=st.sampled_from(Stage),
    steps=tuples(st.tuples(texts, times)),
    layers=tuples(st.tuples(texts, times)),
    pool=st.none() | st.tuples(times, times),
    **dict.fromkeys(("rate", "error_rate", "elapsed", "remaining"), times),
    **{name: st.none() | times for name in ("offered_rate", "p50", "p95", "p99", "hit_rate", "lateness_p99", "service_cpu")},
)
messages = st.one_of(
    st.just(Alive()),
    st.builds(Ready, plan=texts),
    st.builds(PhaseBegan, at=times),
    st.builds(LoadEnded, until=times),
    st.builds(Seen, progress=progress),
    st.builds(Finished, run=phase_runs()),
)


def samples(rows: int, seed: int = 0) -> Samples:
    random = np.random.default_rng(seed)
    when = np.sort(random.random((3, rows)), axis=0)
    others = {
        name: random.integers(0, 11, rows).astype(kind) for name, kind in COLUMNS.items() if name not in ("due", "sent", "done")
    }
    return Samples(due=when[0], sent=when[1], done=when[2], **others)


@given(messages)
def test_every_message_comes_back_as_it_was(message: object) -> None:
    assert unpacked_message(packed_message(message)) == message


def test_reduced_samples_come_back_as_they_were_and_impossible_ones_are_refused() -> None:
    sent = reduced(samples(200), Frame(measured_from=0.2, planned=0.6, steps=4))
    message = ReducedChunk(phase="p", samples=sent, layers=("l1",))
    came = unpacked_message(packed_message(message))
    assert isinstance(came, ReducedChunk)
    assert (came.phase, came.layers, came.samples.frame) == ("p", ("l1",), sent.frame)
    for name in ("keys", "counts", "slowest"):
        assert np.array_equal(getattr(came.samples, name), getattr(sent, name))
    assert (came.samples.rows, came.samples.delivered) == (sent.rows, sent.delivered)
    for changed in (replace(sent, counts=-sent.counts), replace(sent, keys=sent.keys[::-1].copy())):
        with pytest.raises(ValueError, match="no shard says this"):
            unpacked_message(packed_message(replace(message, samples=changed)))


@given(st.integers(0, 50), st.integers(0, 2**32), st.lists(texts, max_size=3).map(tuple))
def test_samples_come_back_bit_for_bit_and_hold_no_more_memory_than_theirs(
    rows: int, seed: int, layers: tuple[str, ...]
) -> None:
    sent = samples(rows, seed)
    sent = replace(sent, connect=np.where(sent.step % 2, np.float32("nan"), sent.connect))
    came = unpacked_message(packed_message(SampleChunk(phase="p", samples=sent, layers=layers)))
    assert isinstance(came, SampleChunk)
    assert (came.phase, came.layers) == ("p", layers)
    for name, kind in COLUMNS.items():
        column = getattr(came.samples, name)
        assert column.dtype == kind
        assert column.base is None
        assert column.tobytes() == getattr(sent, name).tobytes()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UsageError("what", where="where", why="why", hint="hint"), UsageError("what", where="where", why="why", hint="hint")),
        (JourneyError("what"), JourneyError("what")),
        (type("_OfOneModuleError", (BrokenError,), {})("what"), BrokenError("what")),
        (ScenarioError("file", []), UsageError("file has 0 faults", hint=ScenarioError.default_hint)),
        (OSError(errno.EMFILE, "too many"), OSError(errno.EMFILE, "too many")),
        (MemoryError(), MemoryError("")),
        (TypeError("a bug"), RuntimeError("TypeError: a bug")),
    ],
)
def test_an_error_of_ours_keeps_its_class_and_another_one_its_words(error: Exception, expected: Exception) -> None:
    came = unpacked_message(packed_message(Failed(error=error, trace="trace")))
    assert isinstance(came, Failed)
    assert (type(came.error), str(came.error), came.trace) == (type(expected), str(expected), "trace")


def raw(*plain: object, columns: bytes = b"") -> bytes:
    text = json.dumps(plain).encode()
    return struct.pack("=I", len(text)) + text + columns


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.hostile("cluster")
def test_a_pickle_that_a_worker_sends_is_not_carried_out(tmp_path: Path) -> None:
    harm = pickle.dumps(Touch(tmp_path / "harm"), protocol=5)
    for data in (harm, struct.pack("=I", 0) + harm, raw("Failed", ["x", "y"], columns=harm), raw(harm.hex(), [])):
        with pytest.raises(ValueError, match="no shard says this"):
            unpacked_message(data)
    assert not (tmp_path / "harm").exists()


@pytest.mark.hostile("cluster")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff\xff",
        raw(),
        raw("Stop", []),
        raw("Ready", [1]),
        raw("Ready", ["a", "b"]),
        raw("Ready", {"plan": "a"}),
        raw(["Ready"], []),
        raw("LoadEnded", [float("nan")]),
        raw("LoadEnded", [float("inf")]),
        raw("LoadEnded", [True]),
        raw("LoadEnded", ["1"]),
        raw("LoadEnded", [10**400]),
        raw("Alive", [], columns=b"more"),
        raw("SampleChunk", ["p", 1, []]),
        raw("SampleChunk", ["p", -1, []], columns=bytes(800)),
        raw("SampleChunk", ["p", True, []], columns=bytes(800)),
        raw("SampleChunk", ["p", 2**70, []]),
        raw("SampleChunk", ["p", [], []]),
        raw("Failed", [["SystemExit", "", None, None, None], "trace"]),
        raw("Failed", [["ScenarioError", "", None, None, None], "trace"]),
        raw("Failed", [["UsageError", 1, None, None, None], "trace"]),
        raw("Failed", [["UsageError"], "trace"]),
        b"\0\0\1\0" + b"[" * 100_000,
    ],
)
def test_what_no_shard_says_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no shard says this"):
        unpacked_message(data)


@pytest.mark.hostile("cluster")
@given(st.integers(0), st.integers(0, 255), st.sampled_from([0, 7]))
def test_a_message_with_a_byte_changed_is_a_message_or_refused(place: int, byte: int, rows: int) -> None:
    data = bytearray(packed_message(SampleChunk(phase="p", samples=samples(rows), layers=("redis",))))
    data[place % len(data)] = byte
    try:
        came = unpacked_message(bytes(data))
    except ValueError:
        return
    assert isinstance(came, SampleChunk)


def test_what_a_run_says_is_no_word_of_a_shard() -> None:
    with pytest.raises(ValueError, match="no shard says this"):
        unpacked_message(packed_message(Stop()))
