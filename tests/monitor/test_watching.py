from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import trio
import trio.testing

from velro_gate.model.run import Reading
from velro_gate.monitor import ReadingSource, SourceError, watch
from velro_gate.monitor.watching import MOST_SERIES, ShareSince

Step = Mapping[str, float] | Exception | float


class Fake:
    """A source that gives these things in turn, the last one for ever: values, an error, or a delay before ``{"v": 1}``."""

    def __init__(self, name: str, *steps: Step) -> None:
        self.name = self.key = name
        self.steps = list(steps)
        self.asked_at: list[float] = []
        self.closed = False

    async def read(self) -> Mapping[str, float]:
        self.asked_at.append(trio.current_time())
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, float):
            await trio.sleep(step)
            return {"v": 1.0}
        return step

    async def aclose(self) -> None:
        self.closed = True


def watched(
    sources: Sequence[ReadingSource], seconds: float, *, every: float = 2.0, own: bool = False
) -> tuple[list[Reading], list[str]]:
    """What is read and noted in so many seconds of simulated time; own: with what the monitor shows of itself."""
    readings: list[Reading] = []
    notes: list[str] = []

    async def main() -> None:
        origin = trio.current_time()

        def now() -> float:
            return trio.current_time() - origin

        with trio.move_on_after(seconds):
            await watch(sources, every=every, now=now, emit=readings.append, note=notes.append)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return [reading for reading in readings if own or reading.source != "monitor"], notes


def test_every_value_becomes_a_reading_with_its_time_source_and_name() -> None:
    readings, notes = watched([Fake("service", {"rss": 5, "cpu_seconds": 0.5})], 3.0)
    assert readings[:2] == [
        Reading(at=0.0, source="service", name="rss", value=5.0),
        Reading(at=0.0, source="service", name="cpu_seconds", value=0.5),
    ]
    assert [reading.at for reading in readings] == [0.0, 0.0, 2.0, 2.0]
    assert notes == []


def test_a_reading_carries_the_time_at_which_it_was_complete() -> None:
    readings, _ = watched([Fake("a", 0.5)], 1.0)
    assert readings[0].at == 0.5


def test_a_slow_reading_does_not_move_the_beat() -> None:
    source = Fake("a", 0.5)
    watched([source], 7.0)
    assert [at - source.asked_at[0] for at in source.asked_at] == [0.0, 2.0, 4.0, 6.0]


def test_a_reading_slower_than_the_beat_leaves_beats_out_instead_of_catching_up() -> None:
    source = Fake("a", 3.0)
    watched([source], 13.0)
    gaps = [later - earlier for earlier, later in zip(source.asked_at, source.asked_at[1:], strict=False)]
    assert all(gap >= 3.0 for gap in gaps)
    assert len(source.asked_at) <= 5


def test_a_slow_source_delays_no_other() -> None:
    quick = Fake("quick", {"v": 1.0})
    watched([Fake("slow", 4.5), quick], 7.0)
    assert len(quick.asked_at) == 4


@pytest.mark.parametrize("error", [SourceError("it is away"), OSError("boom"), RuntimeError("boom")])
def test_a_failing_source_is_noted_once_and_never_ends_the_run(error: Exception) -> None:
    good = Fake("good", {"v": 1.0})
    _, notes = watched([Fake("bad", error), good], 60.0)
    assert len(notes) == 1
    assert notes[0].startswith("bad is not watched: ")
    assert len(good.asked_at) == 30


def test_the_text_of_an_unforeseen_error_is_not_noted_since_it_may_hold_a_password() -> None:
    _, notes = watched([Fake("bad", OSError("redis://user:secret@host"))], 3.0)
    assert notes == ["bad is not watched: OSError"]


def test_a_failing_source_is_tried_again_less_and_less_often() -> None:
    source = Fake("bad", SourceError("away"))
    watched([source], 100.0)
    gaps = [later - earlier for earlier, later in zip(source.asked_at, source.asked_at[1:], strict=False)]
    assert gaps == [4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_source_that_comes_back_is_read_on_the_old_beat() -> None:
    readings, notes = watched([Fake("a", SourceError("starting"), {"v": 1.0})], 9.0)
    assert [reading.at for reading in readings] == [4.0, 6.0, 8.0]
    assert len(notes) == 1


def test_a_source_that_fails_in_ever_new_ways_is_noted_three_times_at_most() -> None:
    errors = [SourceError(f"way {i}") for i in range(10)]
    _, notes = watched([Fake("bad", *errors)], 600.0)
    assert len(notes) == 3


def test_a_source_that_hangs_is_given_up_on_and_tried_again() -> None:
    readings, notes = watched([Fake("a", 1e9, {"v": 1.0})], 20.0)
    assert notes == ["a is not watched: it did not answer in time"]
    assert readings


def test_a_source_that_hangs_is_down_from_the_first_attempt_until_it_is_given_up_on() -> None:
    readings, _ = watched([Fake("a", {"v": 1.0}, 1e9, {"v": 2.0})], 12.0, every=1.0, own=True)
    down = [reading.at for reading in readings if reading.name == "a_up" and reading.value == 0.0]
    assert down == pytest.approx([1.0, 6.0]), "one attempt of five seconds is a stretch without an answer, not a moment"


def test_values_that_are_no_numbers_are_left_out() -> None:
    readings, _ = watched([Fake("a", {"nan": float("nan"), "inf": float("inf"), "v": 1.0})], 1.0)
    assert [reading.name for reading in readings] == ["v"]


def test_all_sources_are_closed_in_the_end() -> None:
    sources = [Fake("a", {"v": 1.0}), Fake("b", 1e9)]
    watched(sources, 3.0)
    assert all(source.closed for source in sources)


def test_a_source_that_does_not_close_does_not_hold_up_the_end() -> None:
    class Stuck(Fake):
        async def aclose(self) -> None:
            await trio.sleep_forever()

    last = Fake("b", {"v": 1.0})
    watched([Stuck("a", {"v": 1.0}), last], 3.0)


def test_watching_nothing_ends_at_once() -> None:
    assert watched([], 10.0) == ([], [])


def test_sources_are_read_on_whole_beats_of_the_runs_clock() -> None:
    source = Fake("a", {"v": 1})
    at: list[float] = []

    async def main() -> None:
        origin = trio.current_time() - 0.4

        def now() -> float:
            return trio.current_time() - origin

        with trio.move_on_after(3.0):
            await watch([source], every=1.0, now=now, emit=lambda reading: at.append(reading.at))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert sorted(set(at)) == pytest.approx([1.0, 2.0, 3.0])


def test_the_monitor_shows_whether_each_source_was_read_and_how_long_it_took() -> None:
    readings, _ = watched([Fake("a", {"v": 1}, SourceError("gone"), {"v": 2})], 5.0, every=1.0, own=True)
    own = [(reading.at, reading.name, reading.value) for reading in readings if reading.source == "monitor"]
    assert [row for row in own if row[1] == "a_up"][:3] == [(0.0, "a_up", 1.0), (1.0, "a_up", 0.0), (3.0, "a_up", 1.0)]
    slow, _ = watched([Fake("a", 0.5)], 1.0, own=True)
    assert ("a_read_time", 0.5) in [(reading.name, reading.value) for reading in slow]


def test_the_share_of_two_counters_is_that_of_what_they_rose_by() -> None:
    share = ShareSince("hits", "misses")
    counts = ((90, 10), (99, 11), (99, 11), (3, 1), (3, 2), (6, 2))
    found = [share.read("hit_share", {"hits": float(hits), "misses": float(misses)}) for hits, misses in counts]
    # Nothing at first, when nothing was read, and when the counters began anew.
    assert found == [{}, {"hit_share": 0.9}, {}, {}, {"hit_share": 0.0}, {"hit_share": 1.0}]
    assert share.read("hit_share", {"hits": 7.0}) == {}


@pytest.mark.hostile("own metrics")
def test_what_cannot_be_a_figure_is_no_reading_and_what_is_too_small_is_nothing() -> None:
    values = {"big": 1e101, "negative": -1e300, "none": float("nan"), "small": 5e-324, "x" * 201: 1.0, "good": -2.5}
    readings, _ = watched([Fake("own", values)], 3.0)
    assert [(reading.name, reading.value) for reading in readings] == [("small", 0.0), ("good", -2.5)] * 2


@pytest.mark.hostile("own metrics")
def test_a_source_whose_names_never_end_is_kept_in_part_and_the_run_says_so_once() -> None:
    turns = [{f"cache_{turn}_{place}": 1.0 for place in range(300)} | {"steady": 1.0} for turn in range(4)]
    readings, notes = watched([Fake("service", *turns)], 7.0)
    assert len({reading.name for reading in readings}) == MOST_SERIES
    assert [reading.name for reading in readings].count("steady") == 4
    assert notes == ["of service only the first 500 series are kept"]
