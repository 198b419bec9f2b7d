from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.machine.plans import p95, phase, scenario
from velro_gate.engine.machine.feasibility import (
    MachineLimits,
    Shortfall,
    mean_latency_limit,
    require_feasible,
    shortfalls,
)
from velro_gate.engine.machine.forecast import cpu_share, forecast
from velro_gate.errors import InfeasibleError
from velro_gate.model.scenario import (
    ClosedArrivals,
    OpenArrivals,
    Phase,
)

ROOMY = MachineLimits(descriptors_reachable=100_000, ports=28_232, memory=16 * 2**30, cores=4.0, listen_backlog=4096)


def found(
    *phases: Phase, machine: MachineLimits = ROOMY, local: bool = False, shards: int = 1, url: str = ""
) -> list[Shortfall]:
    plan = scenario(url or "http://service.test")
    return list(shortfalls(phases, scenario=plan, machine=machine, service_is_local=local, shards=shards))


def codes(*phases: Phase, machine: MachineLimits = ROOMY, local: bool = False, shards: int = 1) -> list[tuple[str, bool]]:
    return [(short.code, short.fatal) for short in found(*phases, machine=machine, local=local, shards=shards)]


PRD = [
    (500, 110.0, 120.0), (2_500, 550.0, 300.0), (5_000, 880.0, 450.0),
    (10_000, 1_100.0, 600.0), (15_000, 1_320.0, 300.0), (8_000, 880.0, 1_800.0),
]  # fmt: skip


def prd() -> list[Phase]:
    return [
        Phase(
            name=f"phase {i}", users=users, ramp=30.0, duration=seconds,
            arrivals=OpenArrivals(rate=rate), requirements=(p95(0.075),),
        )
        for i, (users, rate, seconds) in enumerate(PRD)
    ]  # fmt: skip


def test_a_plan_within_every_limit_has_no_shortfall() -> None:
    assert found(phase()) == []


def test_the_whole_prd_plan_fits_a_two_core_machine_next_to_its_service() -> None:
    machine = replace(ROOMY, descriptors_reachable=20_000, cores=2.0, memory=8 * 2**30)
    assert codes(*prd(), machine=machine, local=True) == []


def test_too_few_descriptors_are_fatal_and_the_sentence_has_both_numbers() -> None:
    (short,) = found(phase(users=2000), machine=replace(ROOMY, descriptors_reachable=1024))
    assert short.fatal
    assert "2,064" in short.sentence
    assert "1,024" in short.sentence
    assert "ulimit" in short.hint


def test_shards_share_the_users_descriptors() -> None:
    machine = replace(ROOMY, descriptors_reachable=1100)
    assert codes(phase(users=2000), machine=machine) == [("descriptors", True)]
    assert codes(phase(users=2000), machine=machine, shards=2) == []


def test_more_users_than_ports_are_fatal() -> None:
    assert codes(phase(users=29_000)) == [("ports", True)]


def test_ports_that_the_phase_before_still_holds_are_a_caveat() -> None:
    assert codes(phase(users=20_000, name="one"), phase(users=15_000, name="two")) == [("ports", False)]


def test_on_loopback_ports_come_back_at_once() -> None:
    assert codes(phase(users=20_000, name="one"), phase(users=15_000, name="two"), local=True) == []


def test_a_second_target_address_brings_as_many_ports_again() -> None:
    plan = {"scenario": scenario(), "machine": ROOMY, "service_is_local": False}
    assert shortfalls([phase(users=29_000)], **plan, target_addresses=2) == ()


def test_every_source_address_brings_as_many_ports_again() -> None:
    plan = {"machine": ROOMY, "service_is_local": False}
    two = scenario(source_addresses=("127.0.0.2", "127.0.0.3"))
    assert shortfalls([phase(users=56_000)], scenario=two, **plan) == ()
    (short,) = shortfalls([phase(users=57_000)], scenario=two, **plan)
    assert (short.code, short.available) == ("ports", 2 * 28_232)
    assert "target.source_addresses" in short.hint


def test_a_unix_socket_takes_no_ports() -> None:
    plan = scenario(unix_socket="/run/service.sock")
    assert shortfalls([phase(users=90_000, ramp=600.0)], scenario=plan, machine=ROOMY, service_is_local=False) == ()


@pytest.mark.real
def test_source_addresses_that_are_not_this_machines_are_fatal_and_named() -> None:
    machine = replace(ROOMY, foreign_sources=("192.0.2.1", "192.0.2.2"))
    (short, *rest) = found(phase(), phase(name="again"), machine=machine)
    assert (short.code, short.fatal, rest) == ("source_addresses", True, [])
    assert "192.0.2.1, 192.0.2.2 are not addresses of this machine" in short.sentence
    with pytest.raises(InfeasibleError, match=r"192\.0\.2\.1 is not an address"):
        require_feasible([phase()], scenario=scenario(source_addresses=("192.0.2.1",)), service_is_local=False)


def test_ports_that_cannot_be_read_are_not_guessed() -> None:
    assert codes(phase(users=29_000), machine=replace(ROOMY, ports=None)) == []


def test_too_little_memory_is_fatal_and_little_of_it_a_caveat() -> None:
    need = forecast([phase(users=10_000)], scenario=scenario()).memory
    assert codes(phase(users=10_000), machine=replace(ROOMY, memory=need - 1)) == [("memory", True)]
    assert codes(phase(users=10_000), machine=replace(ROOMY, memory=int(need * 1.2))) == [("memory", False)]
    assert codes(phase(users=10_000), machine=replace(ROOMY, memory=need * 2)) == []


@pytest.mark.parametrize("limit", [0.075, 0.5, 60.0])
def test_users_that_would_be_waiting_at_the_limit_are_a_caveat_and_never_a_reason_to_refuse(limit: float) -> None:
    """Little's law: 1,000/s x 75 ms = 75 users waiting; 50 users carry it while answers take 50 ms."""
    (short,) = found(phase(users=50, rate=1000.0, limits=(p95(limit),)))
    assert (short.code, short.fatal) == ("users", False)
    assert "50 users can send 1,000/s only while responses take 50.0 ms or less on average" in short.sentence


def test_a_limit_of_a_second_leaves_forty_users_their_forty_requests_a_second() -> None:
    assert codes(phase(users=40, rate=40.0, limits=(p95(1.0),))) == [("users", False)]


def test_plenty_of_users_are_fine() -> None:
    assert codes(phase(users=1000, rate=1000.0, limits=(p95(0.075),))) == []


@given(users=st.integers(1, 5000), rate=st.floats(1.0, 5000.0), limit=st.floats(0.001, 5.0))
def test_giving_the_phase_the_users_it_asks_for_settles_the_matter(users: int, rate: float, limit: float) -> None:
    machine = replace(ROOMY, descriptors_reachable=10**9, ports=10**9, memory=2**60)
    of = [s for s in found(phase(users, rate, limits=(p95(limit),)), machine=machine) if s.code == "users"]
    if of:
        enough = phase(int(of[0].needed), rate, limits=(p95(limit),))
        again = [s for s in found(enough, machine=machine) if s.code == "users"]
        assert not again


def test_without_a_latency_limit_users_that_even_quick_answers_keep_waiting_are_a_caveat() -> None:
    assert mean_latency_limit(phase(), scenario()) is None
    assert codes(phase(users=2, rate=100.0)) == [("users", False)]
    assert codes(phase(users=21, rate=100.0)) == []


def test_the_tightest_limit_on_all_steps_is_what_counts() -> None:
    assert mean_latency_limit(phase(limits=(p95(0.2), p95(0.1), p95(0.01, "login"))), scenario()) == 0.1


def test_limits_on_single_steps_are_weighted_by_how_often_they_are_sent() -> None:
    # login: 60 ms, once a journey; list: no limit, so counted as instant, every second journey.
    assert mean_latency_limit(phase(limits=(p95(0.06, "login"),)), scenario()) == pytest.approx(0.06 / 1.5)


def test_a_rate_beyond_one_core_is_fatal_and_more_shards_fix_it() -> None:
    fast = phase(users=20_000, rate=80_000.0, ramp=100.0)
    assert codes(fast) == [("cpu", True)]
    assert codes(fast, machine=replace(ROOMY, cores=12.0), shards=10) == []


def test_shards_beyond_the_cores_do_not_help() -> None:
    fast = phase(users=20_000, rate=80_000.0, ramp=100.0)
    assert codes(fast, machine=replace(ROOMY, cores=1.0), shards=3) == [("cpu", True)]


def test_a_rate_near_the_end_of_a_core_is_a_caveat() -> None:
    near = next(rate for rate in range(1_000, 100_000, 250) if cpu_share(rate, "http") > 0.75)
    assert codes(phase(users=10_000, rate=float(near), ramp=60.0)) == [("cpu", False)]


def test_a_quota_below_one_core_counts() -> None:
    assert codes(phase(rate=1000.0), machine=replace(ROOMY, cores=0.1)) == [("cpu", True)]


def test_a_closed_loop_is_never_refused_for_its_unknown_rate() -> None:
    closed = Phase(name="c", users=5000, ramp=30.0, duration=60.0, arrivals=ClosedArrivals(think_time=0.0))
    assert all(not short.fatal for short in found(closed))


def test_a_local_service_without_a_core_of_its_own_is_a_caveat() -> None:
    assert codes(phase(), machine=replace(ROOMY, cores=1.0), local=True) == [("crowded", False)]
    assert codes(phase(), machine=replace(ROOMY, cores=1.0), local=False) == []


def test_users_that_connect_all_at_once_may_overflow_the_accept_queue_of_a_local_service() -> None:
    assert codes(phase(users=5000, ramp=0.0, rate=10.0), machine=replace(ROOMY, cores=64.0), local=True)[-1] == (
        "accept_queue",
        False,
    )


def test_a_feasible_plan_returns_its_caveats() -> None:
    caveats = require_feasible([phase()], scenario=scenario(), machine=replace(ROOMY, cores=1.0), service_is_local=True)
    assert [caveat.code for caveat in caveats] == ["crowded"]


def test_an_infeasible_plan_is_refused_with_the_number_and_the_phase() -> None:
    with pytest.raises(InfeasibleError) as caught:
        require_feasible(
            [phase(name="calm"), phase(users=2000, name="peak")],
            scenario=scenario(),
            machine=replace(ROOMY, descriptors_reachable=1100),
            service_is_local=False,
        )
    assert caught.value.exit_code == 4
    assert caught.value.where == "phase peak"
    assert "1,100" in caught.value.what


def test_a_refusal_names_every_further_number_as_well() -> None:
    with pytest.raises(InfeasibleError) as caught:
        require_feasible(
            [phase(users=30_000)],
            scenario=scenario(),
            machine=replace(ROOMY, descriptors_reachable=100),
            service_is_local=False,
        )
    assert caught.value.why is not None
    assert "28,232" in caught.value.why


def test_this_machine_is_read_when_no_limits_are_given() -> None:
    assert require_feasible([phase(users=1, rate=1.0)], scenario=scenario(), service_is_local=False) == ()
