"""Orders to /control, before they reach a running sandbox: what each comes to, and which are refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.sandbox.stores.test_layers import Bench
from velro_gate.sandbox.problem import AwayError, RefusalError
from velro_gate.sandbox.service.experiments import STALL_LEAD, ControlOrder, Experiments, SlowOrder
from velro_gate.sandbox.service.work import SIGMA, Bimodal, Lognormal, Slowdown, Work
from velro_gate.sandbox.settings import STEPS


@pytest.mark.parametrize(
    ("order", "slowdown"),
    [
        ({"factor": 1.3}, Slowdown(factor=1.3)),
        ({"delay": "20 ms"}, Slowdown(instead=Lognormal(median=0.02, sigma=0.0))),
        ({"delay": 0.02, "factor": 2}, Slowdown(factor=2.0, instead=Lognormal(median=0.02, sigma=0.0))),
        ({"delay": "20 ms", "distribution": "lognormal"}, Slowdown(instead=Lognormal(median=0.02, sigma=SIGMA))),
        ({"delay": "20 ms", "distribution": "lognormal", "sigma": 1}, Slowdown(instead=Lognormal(median=0.02, sigma=1.0))),
        ({"delay": "5 ms", "distribution": "bimodal"}, Slowdown(instead=Bimodal(fast=0.005, slow=0.05, share=0.1))),
        (
            {"delay": "5 ms", "distribution": "bimodal", "slow_delay": "1 s", "slow_share": "2 %"},
            Slowdown(instead=Bimodal(fast=0.005, slow=1.0, share=0.02)),
        ),
    ],
)
def test_an_order_to_slow_comes_to_the_distribution_that_it_names(order: dict[str, object], slowdown: Slowdown) -> None:
    assert SlowOrder.model_validate(order).slowdown() == slowdown


@pytest.mark.parametrize(
    "order",
    [
        {"factor": -1},
        {"factor": "fast"},
        {"factor": 1e9},
        {"delay": 0},
        {"delay": "-5 ms"},
        {"delay": "5 ms", "distribution": "uniform"},
        {"delay": "5 ms", "distribution": "lognormal", "sigma": 0},
        {"delay": "5 ms", "distribution": "bimodal", "slow_share": 2},
        {"distribution": "bimodal"},
        {"speed": 1},
    ],
)
def test_an_order_to_slow_that_makes_no_sense_is_refused(order: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SlowOrder.model_validate(order)


@given(st.text(max_size=30).filter(lambda name: name not in STEPS))
def test_no_order_is_accepted_for_a_step_that_does_not_exist(name: str) -> None:
    with pytest.raises(ValidationError, match="no step"):
        ControlOrder.model_validate({"fail": {name: 0.5}})


@given(st.binary(max_size=60))
def test_whatever_bytes_come_an_order_is_either_obeyed_or_refused(payload: bytes) -> None:
    async def scene(stand: Stand) -> None:
        try:
            state: object = await stand.experiments.carry_out(payload)
        except RefusalError as refused:
            state = refused.status
        assert state == 422 or json.loads(json.dumps(state)) == stand.experiments.state()

    play(scene)


class Stand:
    """Experiments on the layers of a bench. stalls: how long the process was asked to stop, each time."""

    def __init__(self, slow: dict[str, float]) -> None:
        self.bench = Bench({"a": b"1"})
        self.work = Work(seed=1, on=True, slow=slow)
        self.stalls: list[float] = []
        self.experiments = Experiments(
            work=self.work,
            layers=self.bench.layers,
            dependencies={"redis": self.bench.redis, "database": self.bench.database},
            tally=self.bench.tally,
            seed=1,
            stall=self.stalls.append,
        )

    async def obey(self, **order: object) -> dict[str, object]:
        return await self.experiments.carry_out(json.dumps(order).encode())


def play(scene: Callable[[Stand], Awaitable[None]], slow: dict[str, float] | None = None) -> None:
    async def run() -> None:
        await scene(Stand(slow or {}))

    asyncio.run(run())


def test_orders_add_up_until_reset_leads_back_to_the_start() -> None:
    async def scene(stand: Stand) -> None:
        await stand.obey(slow={"model_access": {"factor": 2}})
        await stand.obey(slow={"media_url_access": {"factor": 3}}, fail={"login": 1})
        assert {step: slow.factor for step, slow in stand.work.slowdowns.items()} == {
            "login": 1.5,
            "model_access": 2.0,
            "media_url_access": 3.0,
        }
        assert stand.experiments.fails("login")
        await stand.obey(reset=True)
        assert stand.work.slowdowns == {"login": Slowdown(factor=1.5)}
        assert not stand.experiments.fails("login")

    play(scene, slow={"login": 1.5})


def test_reset_together_with_a_new_order_leaves_the_new_one_in_force() -> None:
    async def scene(stand: Stand) -> None:
        await stand.obey(down=["redis", "database"])
        await stand.obey(reset=True, down=["redis"])
        assert (stand.bench.redis.taken_away, stand.bench.database.taken_away) == (True, False)

    play(scene)


def test_an_order_with_one_fault_changes_nothing_at_all() -> None:
    async def scene(stand: Stand) -> None:
        with pytest.raises(RefusalError, match=r"stall.*zero or more"):
            await stand.obey(down=["redis"], slow={"login": {"factor": 2}}, stall=-1)
        assert not stand.bench.redis.taken_away
        assert stand.work.slowdowns == {}

    play(scene)


def test_every_fault_of_an_order_is_reported() -> None:
    async def scene(stand: Stand) -> None:
        with pytest.raises(RefusalError) as refused:
            await stand.obey(stall=-1, fail={"modelaccess": 1}, colour="red")
        assert all(word in refused.value.reason for word in ("stall", "did you mean 'model_access'", "colour"))

    play(scene)


def test_a_stall_begins_after_the_answer_to_its_order_and_lasts_as_ordered() -> None:
    async def scene(stand: Stand) -> None:
        await stand.obey(stall="1.5 s")
        assert stand.stalls == []
        await asyncio.sleep(2 * STALL_LEAD)
        assert stand.stalls == [1.5]

    play(scene)


def test_failures_are_drawn_from_the_seed() -> None:
    async def scene(stand: Stand) -> None:
        other = Stand({})
        for one in (stand, other):
            await one.obey(fail={"login": 0.4})
        drawn = [stand.experiments.fails("login") for _ in range(500)]
        assert drawn == [other.experiments.fails("login") for _ in range(500)]
        # Five standard errors of a share of .4 in 500.
        assert abs(sum(drawn) / 500 - 0.4) < 5 * (0.24 / 500) ** 0.5

    play(scene)


def test_a_flush_of_redis_while_it_is_away_is_reported_and_memory_is_flushed_all_the_same() -> None:
    async def scene(stand: Stand) -> None:
        await stand.bench.layers.warm([("a", b"1")])
        with pytest.raises(AwayError, match="redis"):
            await stand.obey(down=["redis"], flush=["memory", "redis"])
        assert (await stand.bench.read("a")).layer == "database"

    play(scene)


def test_the_state_is_plain_data_and_names_the_breakers() -> None:
    async def scene(stand: Stand) -> None:
        state = await stand.obey(slow={"login": {"delay": "5 ms", "distribution": "bimodal"}})
        assert json.loads(json.dumps(state)) == state
        assert state["breakers"] == {"redis": "closed", "database": "closed"}
        assert state["slow"] == {"login": {"factor": 1.0, "instead": {"fast": 0.005, "slow": 0.05, "share": 0.1}, "busy": 0.0}}

    play(scene)


def test_queries_can_be_slowed_and_a_step_can_use_cpu() -> None:
    async def scene(stand: Stand) -> None:
        state = await stand.obey(slow={"query": {"delay": "20 ms"}, "login": {"busy": "3 ms"}})
        slow = json.loads(json.dumps(state))["slow"]
        assert slow["query"]["instead"] == {"median": 0.02, "sigma": 0.0}
        assert slow["login"]["busy"] == 0.003

    play(scene)


def test_a_leak_keeps_bytes_and_descriptors_of_each_request_until_reset() -> None:
    async def scene(stand: Stand) -> None:
        kept, opened = stand.experiments._kept, stand.experiments._opened
        stand.experiments.leak()
        assert (kept, opened) == ([], [])
        state = await stand.obey(leak={"bytes": 20_000, "descriptors": "25 %"})
        assert state["leak"] == {"bytes": 20_000, "descriptors": 0.25}
        for _ in range(8):
            stand.experiments.leak()
        assert (sum(map(len, kept)), len(opened)) == (160_000, 2)
        await stand.obey(reset=True)
        assert (kept, opened) == ([], [])

    play(scene)
