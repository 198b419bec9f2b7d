"""The null run: the plan's own requests, without its secrets, against the responder; and what a run makes of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import trio

from tests.analysis.phases import summary
from tests.cli.command import tiny_scenario
from tests.gate.world import Spectator, tiny_setup
from tests.service import service
from velro_gate.engine.machine.feasibility import MachineLimits
from velro_gate.engine.machine.forecast import DESCRIPTOR_MARGIN
from velro_gate.engine.steps.requests import Compiler
from velro_gate.errors import BrokenError
from velro_gate.gate.judge.verdict import reread
from velro_gate.gate.measure.null_run import (
    MOST_RATE,
    Calibration,
    NullRun,
    NullRunMissing,
    null_phase,
    null_scenario,
    stand_ins,
)
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import NOT_CALIBRATED, measure_generator, run
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.record import GeneratorNoise
from velro_gate.model.scenario import (
    Body,
    Capture,
    ClosedArrivals,
    Comparator,
    JsonCheck,
    LoginAuth,
    NoAuth,
    OpenArrivals,
    Phase,
    Requirement,
    Scenario,
    Step,
    Target,
)
from velro_gate.model.verdict import Trust, TrustFinding
from velro_gate.store.records import read_record

MACHINE = MachineLimits(descriptors_reachable=20_000, ports=28_232, memory=2**33, cores=2.0)
P95 = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.075, critical=0.1)
KEY = "a-key-that-nobody-may-see"


def velro(profile: str = "full") -> Setup:
    return prepare(RunOptions(scenario=shipped_scenario("velro-prd"), profile=profile), {"SUPABASE_SERVICE_KEY": KEY})


# What is sent


def sent_to(scenario: Scenario, secrets: dict[str, str]) -> list[bytes]:
    """The requests of a user, step by step."""

    class Anybody:
        index, identity, captured = 3, "user-3", {}  # type: ignore[var-annotated]

        def cookie_line(self, head: bytes) -> bytes:
            return b""

    made = [step.render(Anybody()) for step in Compiler(scenario, secrets).steps()]
    assert None not in made, "every value is known"
    return [one for one in made if one is not None]


def test_the_requests_are_those_of_the_plan_and_hold_no_secret() -> None:
    setup = velro()
    null = sent_to(null_scenario(setup.scenario, "http://127.0.0.1:1"), stand_ins(setup))
    real = sent_to(dataclasses.replace(setup.scenario, target=Target(url="http://127.0.0.1:1")), dict(setup.secrets))
    assert [KEY.encode() in one for one in real] == [True] * len(real)
    assert not any(KEY.encode() in one for one in null)
    assert [one.replace(KEY.encode(), b"x" * len(KEY)) for one in real] == null


def journey(*, auth: bool) -> Scenario:
    token = Capture(name="token", source="json", path="$.t")
    login = Step(name="login", method="POST", path="/login", probability=1.0, captures=(token,))
    steps = (
        Step(
            name="create",
            method="POST",
            path="/create",
            probability=1.0,
            expect_status=frozenset({201}),
            checks=(JsonCheck(path="$.id"),),
            captures=(Capture(name="made", source="json", path="$.id"),),
        ),
        Step(
            name="use",
            method="PUT",
            path="/use/${made}",
            probability=0.5,
            headers=(("X-Made", "${made}"), ("authorization", "Own ${made}")),
            query=(("id", "${made}"),),
            body=Body(template='{"id": "${made}", "me": "${user.id}"}', content_type="application/json"),
        ),
    )
    return Scenario(
        name="s",
        description="",
        digest="d",
        target=Target(url="https://user:pass@service.test:8443/base/"),
        auth=LoginAuth(step=login, token="token") if auth else NoAuth(),
        steps=steps,
    )


def test_what_an_answer_would_have_to_give_is_known_beforehand_and_any_answer_is_good() -> None:
    null = null_scenario(journey(auth=True), "http://127.0.0.1:9")
    create, use = sent_to(null, {})
    assert create.startswith(b"POST /base/create HTTP/1.1\r\nHost: 127.0.0.1:9\r\n")
    assert b"\r\nAuthorization: Bearer x" in create
    assert use.startswith(b"PUT /base/use/xxxx")
    assert use.count(b"x" * 32) == 5
    assert b"Bearer" not in use, "a header of the step's own stays"
    assert use.endswith(b'", "me": "user-3"}')
    assert [step.expect_status for step in null.steps] == [frozenset({200})] * 2
    assert not any(step.checks or step.captures for step in null.steps)


def test_without_a_login_there_is_no_token() -> None:
    create, _ = sent_to(null_scenario(journey(auth=False), "http://127.0.0.1:9"), {})
    assert b"Authorization" not in create


# How much of it


def phase(users: int = 100, rate: float = 50.0, *requirements: Requirement, name: str = "p") -> Phase:
    arrivals = OpenArrivals(rate=rate, spacing="even")
    return Phase(name=name, users=users, ramp=60.0, duration=600.0, arrivals=arrivals, requirements=requirements)


def test_the_peak_of_the_plan_is_what_counts() -> None:
    made = null_phase([phase(500, 100.0), phase(200, 300.0), phase(900, 50.0)], journey(auth=False), 5.0, MACHINE)
    assert (made.users, made.offered_rate, made.duration, made.ramp) == (200, 300.0, 5.0, 0.5)
    assert made.arrivals == OpenArrivals(rate=300.0, spacing="even")


@pytest.mark.parametrize(
    ("machine", "users"),
    [
        (MACHINE, 12_704),
        (dataclasses.replace(MACHINE, ports=None), 15_000),
        (dataclasses.replace(MACHINE, descriptors_reachable=1_024), 1_024 - DESCRIPTOR_MARGIN),
        (dataclasses.replace(MACHINE, descriptors_reachable=10), 1),
    ],
)
def test_as_many_users_connect_as_this_machine_can_connect_quickly(machine: MachineLimits, users: int) -> None:
    assert null_phase([phase(15_000, 1_320.0)], journey(auth=False), 5.0, machine).users == users


def test_the_responder_is_never_asked_for_more_than_it_answers_easily() -> None:
    assert null_phase([phase(9_000, 90_000.0)], journey(auth=False), 5.0, MACHINE).offered_rate == MOST_RATE


def test_a_closed_loop_counts_with_what_its_users_ask_for() -> None:
    closed = Phase(name="c", users=100, ramp=1.0, duration=9.0, arrivals=ClosedArrivals(think_time=0.5))
    assert null_phase([closed], journey(auth=False), 5.0, MACHINE).offered_rate == 200.0


def test_lateness_and_lag_are_held_against_the_tightest_limit_of_the_plan_and_nothing_is_required() -> None:
    tight = dataclasses.replace(P95, target=0.02, step="use")
    made = null_phase([phase(10, 100.0, P95), phase(10, 50.0, tight)], journey(auth=False), 5.0, MACHINE)
    assert made.tightest_latency_limit == 0.02
    assert not any(requirement.required for requirement in made.requirements)
    assert null_phase([phase()], journey(auth=False), 5.0, MACHINE).requirements == ()


# Once made


def test_a_null_run_of_a_second_measures_the_generator_and_its_books_agree_with_the_responder() -> None:
    setup = prepare(RunOptions(scenario=shipped_scenario("demo")), {"SUPABASE_SERVICE_KEY": KEY})
    watching = Spectator()
    made = measure_generator(setup, 1.0, watching.effects)
    assert made.answered == made.summary.delivered_total
    everything = made.summary.step()
    assert everything is not None
    assert everything.counts.ok == everything.counts.due == made.noise.requests > 500
    assert (made.noise.rate, made.noise.users, made.noise.seconds) == (700.0, 300, 1.0)
    assert 0.0 < made.noise.p50 <= made.noise.p95 <= made.noise.p99
    assert list(made.lateness) == sorted(made.lateness)
    assert {progress.phase for progress in watching.seen} == {"the null run"}


def test_the_null_run_is_sent_by_as_many_shards_as_the_run() -> None:
    setup = prepare(RunOptions(scenario=shipped_scenario("demo"), shards=2), {"SUPABASE_SERVICE_KEY": KEY})
    made = measure_generator(setup, 1.0, Spectator().effects)
    assert made.answered == made.summary.delivered_total
    assert made.noise.users == made.summary.connections_opened == 300


def test_a_null_run_in_which_nothing_falls_due_is_broken(tmp_path: Path) -> None:
    setup = prepare(RunOptions(scenario=tiny_scenario(tmp_path, rate="0.001/s"), url="http://127.0.0.1:1"), {})
    with pytest.raises(BrokenError, match="could not be measured"):
        measure_generator(setup, 0.2, Spectator().effects)


def test_a_run_is_preceded_by_a_null_run_and_its_record_keeps_the_noise(tmp_path: Path) -> None:
    watching = Spectator()
    calibration = Calibration(0.5)
    with service() as running:
        setup = tiny_setup(tmp_path, running.url, duration="1 s")
        first = run(setup, make_results(tmp_path / "out", "a"), watching.effects, calibration)
        second = run(setup, make_results(tmp_path / "out", "b"), watching.effects, calibration)
        counted = running.requests
    assert first.generator_noise is not None
    assert first.generator_noise == second.generator_noise, "once is enough for both"
    assert counted == sum(record.phases[0].delivered_total for record in (first, second)), "the service saw nothing of it"
    assert read_record(tmp_path / "out/a") == first
    assert reread(tmp_path / "out/a").generator_noise == first.generator_noise
    assert not any("generator" in note for note in first.notes)
    assert [line for line in watching.said if "null run" in line] == ["null run: measuring the generator alone for 0.5 s"]
    assert first.phases[0].name == "short"


def test_a_run_without_one_says_so(tmp_path: Path) -> None:
    with service() as running:
        setup = tiny_setup(tmp_path, running.url, duration="1 s")
        record = run(setup, make_results(tmp_path / "out", "run"), Spectator().effects)
    assert record.generator_noise is None
    assert NOT_CALIBRATED in record.notes


# What is made of it


def noise(p99: float) -> GeneratorNoise:
    return GeneratorNoise(
        p50=0.0001, p95=0.001, p99=p99, lateness_p99=0.001, rate=700.0, users=300, seconds=5.0, requests=3_500
    )


class Fake:
    """Null runs with these p99, one after the other; those above 20 ms break a limit of the plan."""

    def __init__(self, *p99: float | None) -> None:
        self.left = list(p99)

    async def __call__(self, setup: Setup, **_: object) -> NullRun | None:
        p99 = self.left.pop(0)
        if p99 is None:
            return None
        finding = TrustFinding(
            trust=Trust.BROKEN,
            phase="p",
            figure=p99,
            limit=0.02,
            facts=Worded(code="generator-noise", sentence="s", advice="a"),
        )
        return NullRun(
            noise=noise(p99),
            summary=summary(),
            lateness=(0.0, 0.0, 0.0),
            own=(),
            limits=(finding,) if p99 > 0.02 else (),
            answered=3_500,
        )


async def failing(setup: Setup, **_: object) -> NullRun | None:
    raise BrokenError("the responder did not start", why="no more processes")


def asked(measure: object, times: int = 1) -> list[GeneratorNoise | NullRunMissing]:
    calibration = Calibration(1.0, measure)  # type: ignore[arg-type]

    async def main() -> list[GeneratorNoise | NullRunMissing]:
        return [await calibration.noise(velro("pr"), stop=trio.Event()) for _ in range(times)]

    return trio.run(main)


def test_a_calm_null_run_is_made_once_and_answers_ever_after() -> None:
    fake = Fake(0.002)
    assert asked(fake, times=3) == [noise(0.002)] * 3


@pytest.mark.parametrize(("first", "second", "kept"), [(0.5, 0.003, 0.003), (0.5, 0.4, 0.4), (0.4, 0.5, 0.4)])
def test_a_null_run_that_would_break_the_run_is_made_once_more_and_the_calmer_one_counts(
    first: float, second: float, kept: float
) -> None:
    fake = Fake(first, second, 0.0)
    assert asked(fake) == [noise(kept)]
    assert fake.left == [0.0]


def test_one_that_fails_or_is_interrupted_is_reported_in_a_sentence_and_stops_nothing() -> None:
    assert asked(failing) == [
        NullRunMissing(
            reason="the generator alone was not measured, so what it adds to response times is not known: "
            "the responder did not start: no more processes"
        )
    ]
    interrupted = NullRunMissing(reason="the generator alone was not measured, since the run was interrupted")
    assert asked(Fake(None)) == [interrupted]
    assert asked(Fake(0.5, None)) == [interrupted]
