"""What the pilot chooses, forecasts and refuses. No process: blocks are made up, and take as long as they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from tests.analysis.phases import counts
from tests.analysis.runs import planned, run, summary
from tests.gate.world import tiny_setup
from velro_gate.errors import BrokenError, InfeasibleError, UsageError
from velro_gate.gate.duet.blocks import BlockShape, Measured, Place
from velro_gate.gate.duet.pilot import DuetOptions, PilotResult, least_pairs, run_pilot
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.duet import LOOKS, Block, Side
from velro_gate.model.record import PhaseSummary, Window


def window(start: float, factor: float = 1.0) -> Window:
    return Window(
        start=start,
        seconds=1.0,
        sent=100,
        ok=100,
        failed=0,
        connected=50,
        p50=0.005 * factor,
        p95=0.012 * factor,
        p99=0.02 * factor,
        hit_rate=None,
        lateness_p99=0.0,
    )


def settling(seconds: int) -> tuple[Window, ...]:
    """Ten windows, the first ones three times as slow."""
    return tuple(window(float(i), (3.0 if i < seconds else 1.0) * (1.0 + 0.01 * (i * 7 % 3))) for i in range(10))


class Stage:
    """Stands for the place where blocks are measured. settles: seconds; overhead: of each block beside its load."""

    def __init__(self, setup: Setup, *, settles: int = 0, overhead: float = 1.5, phase: PhaseSummary | None = None) -> None:
        self.setup = setup
        self.said: list[str] = []
        self.notes: list[str] = []
        self.shapes: list[BlockShape] = []
        self.say, self.note = self.said.append, self.notes.append
        self._settles, self._overhead = settles, overhead
        self._phase = summary() if phase is None else phase

    async def block(self, side: Side, shape: BlockShape, place: Place) -> Measured:
        assert side is Side.BASE
        self.shapes.append(shape)
        made = replace(
            self._phase,
            measured_seconds=shape.seconds,
            windows=settling(self._settles if len(self.shapes) == 1 else 0),
        )
        return Measured(block=Block(phases=(made,)), took=shape.warm_up + shape.seconds + self._overhead)


@pytest.fixture
def setup(tmp_path: object) -> Setup:
    plan = run(plan=planned("steady")).plan
    made = tiny_setup(tmp_path, "http://127.0.0.1")  # type: ignore[arg-type]
    return replace(made, plan=plan)


def rehearsed(stage: Stage, options: DuetOptions, spent: float = 0.0) -> PilotResult:
    made: PilotResult | None = trio.run(lambda: run_pilot(stage, options, spent))  # type: ignore[arg-type]
    assert made is not None
    return made


def test_the_warm_up_lasts_until_the_response_times_have_settled(setup: Setup) -> None:
    quick, slow = rehearsed(Stage(setup), DuetOptions(seed=1)), rehearsed(Stage(setup, settles=4), DuetOptions(seed=1))
    assert (quick.shape.warm_up, slow.shape.warm_up) == (3.0, 6.0)


def test_a_second_pilot_block_is_made_only_where_the_first_had_not_settled_in_time(setup: Setup) -> None:
    stages = Stage(setup), Stage(setup, settles=4), Stage(setup, settles=4)
    for stage, options in zip(
        stages, (DuetOptions(seed=1), DuetOptions(seed=1), DuetOptions(seed=1, warm_up=4.0)), strict=True
    ):
        rehearsed(stage, options)
    assert [[shape.warm_up for shape in stage.shapes] for stage in stages] == [[2.0], [2.0, 6.0], [4.0]]


def test_a_block_takes_as_long_whether_one_pilot_block_showed_it_or_two(setup: Setup) -> None:
    one, two = (rehearsed(Stage(setup, settles=seconds), DuetOptions(seed=1, block=15.0)) for seconds in (0, 4))
    assert (one.seconds, two.seconds) == (pytest.approx(3.0 + 15.0 + 1.5), pytest.approx(6.0 + 15.0 + 1.5))


def test_the_forecast_is_said_before_anything_is_compared(setup: Setup) -> None:
    stage = Stage(setup)
    made = rehearsed(stage, DuetOptions(seed=1))
    assert made.looks == LOOKS
    assert "forecast from the pilot: blocks of " in stage.said[0]
    assert stage.said[1].startswith("after 6 pairs, about ")
    assert "unchanged" in stage.said[1]
    assert stage.said[2].startswith("after 10 pairs, about ")
    assert "a worsening of " in stage.said[2]
    assert stage.said[3].startswith("after 16 pairs, about ")


def test_what_is_asked_for_is_not_chosen(setup: Setup) -> None:
    stage = Stage(setup, settles=4)
    made = rehearsed(stage, DuetOptions(seed=1, block=20.0, warm_up=2.0, pairs=12))
    assert made.shape == BlockShape(warm_up=2.0, seconds=20.0)
    assert [(look.pairs, look.alpha) for look in made.looks] == [(12, 0.01)]
    assert made.seconds == pytest.approx(23.5)


def test_blocks_that_are_too_short_for_the_tail_are_made_all_the_same_and_noted(setup: Setup) -> None:
    stage = Stage(setup)
    assert rehearsed(stage, DuetOptions(seed=1, block=2.0)).shape.seconds == 2.0
    assert "five autocorrelation times" in stage.notes[0]


def test_when_only_the_first_look_fits_it_gets_the_whole_error_rate(setup: Setup) -> None:
    made = rehearsed(Stage(setup), DuetOptions(seed=1, block=15.0, most_seconds=500.0))
    assert [(look.pairs, look.alpha) for look in made.looks] == [(6, 0.0), (10, 0.01)]
    assert sum(look.beta for look in made.looks) == pytest.approx(0.05)


def test_what_takes_too_long_is_refused_with_the_time_that_it_takes(setup: Setup) -> None:
    with pytest.raises(InfeasibleError, match=r"10 pairs of blocks would take \d+ min") as caught:
        rehearsed(Stage(setup), DuetOptions(seed=1, block=60.0, most_seconds=300.0))
    assert "--max-minutes" in caught.value.hint


def test_time_that_is_spent_already_counts(setup: Setup) -> None:
    options = DuetOptions(seed=1, block=15.0, most_seconds=500.0)
    with pytest.raises(InfeasibleError):
        rehearsed(Stage(setup), options, spent=200.0)


def test_without_a_pilot_nothing_is_measured_first_and_that_is_said(setup: Setup) -> None:
    stage = Stage(setup)
    made = rehearsed(stage, DuetOptions(seed=1, pilot=False, most_seconds=3600.0))
    assert (made.shape, made.looks, made.forecast) == (BlockShape(warm_up=10.0, seconds=60.0), LOOKS, None)
    assert stage.shapes == []
    assert "not known without a pilot" in stage.said[0]


def test_without_a_pilot_too_long_a_duet_is_refused_as_well(setup: Setup) -> None:
    with pytest.raises(InfeasibleError):
        rehearsed(Stage(setup), DuetOptions(seed=1, pilot=False, most_seconds=300.0))


def test_a_base_build_that_answers_nothing_well_is_no_yardstick(setup: Setup) -> None:
    whole = summary()
    books = counts(ok=0, failed=6000)
    dead = replace(whole, steps=tuple(replace(step, counts=books, measurements={}) for step in whole.steps))
    with pytest.raises(BrokenError, match="did not respond successfully to any request in the pilot's steady"):
        rehearsed(Stage(setup, phase=dead), DuetOptions(seed=1))


def test_fewer_pairs_than_can_call_anything_changed_are_refused() -> None:
    assert least_pairs(0.01) == 7
    with pytest.raises(UsageError, match="6 pairs of blocks are too few to show any change") as caught:
        DuetOptions(seed=1, pairs=6)
    assert caught.value.why is not None
    assert "one of 64" in caught.value.why
    assert DuetOptions(seed=1, pairs=7).looks[0].pairs == 7


def test_phases_share_a_block_and_many_users_get_time_to_connect() -> None:
    first, second = planned("one", "two")
    crowd = replace(second, users=9_000)
    one, two = BlockShape(warm_up=2.0, seconds=20.0).phases((first, crowd))
    assert (one.ramp, one.duration, two.ramp, two.duration) == (2.0, 10.0, 3.0, 10.0)
    assert BlockShape(warm_up=2.0, seconds=20.0).load_seconds((first, crowd)) == 25.0
