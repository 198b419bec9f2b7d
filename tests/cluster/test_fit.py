"""What workers on other machines cannot do, or must not be given, is refused before the first request."""

from __future__ import annotations

import dataclasses

import pytest

from tests.cluster.values import FACTS, cluster_of, elsewhere
from tests.engine.shards.test_run import phase, plan
from velro_gate.cluster.fit import require_capable, require_sendable, share_of_phase
from velro_gate.cluster.forecast import (
    OF_CAPACITY,
    OF_DUET,
    Unreduced,
    cluster_forecast,
    cluster_sentences,
    phases_to_reduce,
    require_room_for_samples,
)
from velro_gate.errors import InfeasibleError, UsageError
from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue
from velro_gate.model.resilience.experiment import CommandAction, Experiment
from velro_gate.model.scenario import OpenArrivals, Phase, Scenario, Target

SCENARIO = plan("http://service.test")
EXPERIMENT = Experiment(name="down", at=20.0, lasts=10.0, action=CommandAction(run="true"))
OF_STEPS = OwnMetric(name="checkout", origin=MetricOrigin.STEPS, steps=("get",), value=OwnValue.P95, unit=OwnUnit.TIME)
SECRETS = {"TOKEN": "value"}


def refused(*, tls: bool = False, local: bool = False, secrets: dict[str, str] | None = None, **target: object) -> str:
    changed = dataclasses.replace(SCENARIO, target=Target(url="http://service.test", **target))  # type: ignore[arg-type]
    with pytest.raises(UsageError) as error:
        require_sendable(cluster_of([FACTS, elsewhere("two")], tls=tls), changed, secrets or {}, service_is_local=local)
    return error.value.what


def test_secrets_are_not_sent_to_another_machine_without_tls() -> None:
    named = "worker 2 of 2 (tcp://10.0.0.3:4000 on two)"
    assert refused(secrets=SECRETS) == f"the scenario's secrets would be sent unencrypted to {named}"
    assert named in refused(client_certificate="cert.pem", client_key="key.pem")
    require_sendable(cluster_of([FACTS, elsewhere("two")], tls=True), SCENARIO, SECRETS, service_is_local=False)
    require_sendable(cluster_of([FACTS, FACTS]), SCENARIO, SECRETS, service_is_local=True)


def test_a_service_of_this_machine_or_addresses_of_it_are_of_no_use_to_another_one() -> None:
    assert "is this machine's own, and worker 2 of 2" in refused(tls=True, local=True)
    assert "target.source_addresses are addresses of one machine" in refused(tls=True, source_addresses=("127.0.0.2",))


def test_the_parts_of_a_plan_are_the_plan() -> None:
    whole = phase(users=100, arrivals=OpenArrivals(rate=300.0))
    part = share_of_phase(whole, 1 / 3)
    assert (part.users, part.offered_rate) == (34, pytest.approx(100.0))
    assert share_of_phase(whole, 1.0) == whole


def test_a_machine_that_cannot_carry_its_part_is_named_with_what_it_lacks() -> None:
    few = dataclasses.replace(FACTS.limits, descriptors_reachable=200)
    workers = [FACTS, elsewhere("two", limits=few), elsewhere("three"), elsewhere("four")]
    plans = [phase(users=1000, arrivals=OpenArrivals(rate=100.0))]
    with pytest.raises(InfeasibleError, match=r"worker 2 of 4 \(tcp://10\.0\.0\.3:4000 on two\): 250 users need"):
        require_capable(cluster_of(workers), plans, SCENARIO, service_is_local=False)
    assert require_capable(cluster_of([FACTS, *workers[2:]]), plans, SCENARIO, service_is_local=False) == []


def test_a_plan_whose_samples_do_not_fit_into_this_machine_s_memory_is_refused_with_their_size() -> None:
    long = phase(users=100, duration=10_000.0, arrivals=OpenArrivals(rate=10_000.0))
    found = cluster_forecast([long], SCENARIO, 10, 10 * 2**30)
    require_room_for_samples(found, found.merge_memory)
    require_room_for_samples(found, None)
    with pytest.raises(
        InfeasibleError, match=r"the longest phase, about \S+ samples, would take this machine .* of memory"
    ) as refused:
        require_room_for_samples(found, 2 * 2**30)
    assert refused.value.why == "2.00 GiB are free, and the workers reduce only phases of more than 10.0 GiB"
    assert str(refused.value.hint).startswith("Give a smaller --cluster-raw, or call")


def refused_for_memory(scenario: Scenario, long: Phase, kept: Unreduced | None = None) -> tuple[str, str]:
    found = cluster_forecast([phase(name="short", duration=10.0), long], scenario, 10, kept=kept)
    with pytest.raises(InfeasibleError) as refused:
        require_room_for_samples(found, 2 * 2**30)
    return str(refused.value.why), str(refused.value.hint)


def test_the_refusal_of_a_long_phase_names_what_needs_its_samples_and_what_to_change() -> None:
    long = phase(name="long", duration=10_000.0, arrivals=OpenArrivals(rate=10_000.0))
    broken = dataclasses.replace(long, experiments=(EXPERIMENT,))
    why, hint = refused_for_memory(SCENARIO, broken)
    assert "the experiments of phase long are judged by its samples" in why
    assert hint.startswith("Make the experiments in a shorter phase of their own, or")
    why, hint = refused_for_memory(dataclasses.replace(SCENARIO, metrics=(OF_STEPS,)), long)
    assert "metrics of whole groups of steps (checkout) are made of samples" in why
    assert hint.startswith("Leave checkout out of the scenario, or")
    assert "the blocks of a duet are compared by their samples" in refused_for_memory(SCENARIO, long, OF_DUET)[0]
    assert refused_for_memory(SCENARIO, long, OF_CAPACITY)[1].startswith("Begin at a lower load (--start), or")
    assert cluster_sentences(cluster_forecast([broken], SCENARIO, 10))[-1] == (
        "They are more than 512 MiB, but the experiments of phase long are judged by its samples, so the workers do not reduce "
        "them."
    )


def test_phases_are_reduced_where_their_samples_would_be_larger_than_is_kept_and_their_figures_allow_it() -> None:
    short, long = (
        phase(name="short", duration=10.0),
        phase(name="long", duration=10_000.0, arrivals=OpenArrivals(rate=10_000.0)),
    )
    raw = 512 * 2**20
    assert phases_to_reduce([short, long], SCENARIO, raw) == {"long"}
    assert phases_to_reduce([short, long], SCENARIO, 0) == {"short", "long"}
    assert phases_to_reduce([short, long], SCENARIO, 10**12) == frozenset()
    broken = dataclasses.replace(long, experiments=(EXPERIMENT,))
    assert phases_to_reduce([broken], SCENARIO, raw) == frozenset()
    assert phases_to_reduce([long], dataclasses.replace(SCENARIO, metrics=(OF_STEPS,)), raw) == frozenset()


def test_a_plan_whose_long_phase_is_reduced_has_room_and_says_to_which_error_its_times_are_known() -> None:
    short, long = (
        phase(name="short", duration=10.0),
        phase(name="long", duration=10_000.0, arrivals=OpenArrivals(rate=10_000.0)),
    )
    found = cluster_forecast([short, long], SCENARIO, 10, 512 * 2**20)
    require_room_for_samples(found, 2 * 2**30)
    assert found.reduced == ("long",)
    said = cluster_sentences(found)
    assert "The longest phase whose samples are kept has about" in said[2]
    assert said[3] == (
        "The workers reduce the samples of long, more than 512 MiB each, to counts: times are known to 0.50 % of themselves."
    )
    assert len(cluster_sentences(cluster_forecast([long], SCENARIO, 10, 0))) == 3
