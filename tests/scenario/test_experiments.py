"""Experiments of a phase: what is broken, when, and what is expected; instants left to chance follow the seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scenario.files import faults, load, shop
from velro_gate.model.resilience.experiment import (
    Blow,
    Expected,
    InvalidateAction,
    NetworkAction,
    Pattern,
    ProcessAction,
    RequestAction,
)
from velro_gate.model.resilience.network import Outage, WireProtocol
from velro_gate.model.resilience.probes import ControlRequest
from velro_gate.model.scenario import Phase, Scenario
from velro_gate.scenario import secrets

DOWN = {"name": "down", "at": "2 s", "for": "3 s", "network": {"proxy": "redis", "outage": "refuse"}}


def with_experiments(*experiments: dict[str, Any], **more: Any) -> dict[str, Any]:
    data = shop()
    data["proxies"] = {"redis": {"to": "redis://cache/0", "listen": 16379}}
    data["profiles"]["full"][0] |= {"duration": "60 s", "experiments": list(experiments)}
    return data | more


def phase_of(scenario: Scenario, profile: str = "full") -> Phase:
    return scenario.profiles[profile][0]


def test_an_experiment_says_what_is_broken_when_and_what_is_expected(tmp_path: Path) -> None:
    expect = {"errors": "< 5 %", "recovery": "10 s", "retries": "<= 3", "breaker": "2 s", "degraded": 503, "step": "list"}
    scenario = load(with_experiments({**DOWN, "expect": expect}), tmp_path)
    (experiment,) = phase_of(scenario).experiments
    assert (experiment.name, experiment.at, experiment.ends, experiment.room) == ("down", 2.0, 5.0, 10.0)
    assert isinstance(experiment.action, NetworkAction)
    assert experiment.action.fault.outage is Outage.REFUSE
    limits = {each.kind: each.limit for each in experiment.expected}
    assert limits == {
        Expected.ERRORS: 0.05,
        Expected.DEGRADED: 0.99,
        Expected.BREAKER: 2.0,
        Expected.RECOVERY: 10.0,
        Expected.RETRIES: 3.0,
    }
    assert {each.step for each in experiment.expected if each.kind is not Expected.RETRIES} == {"list"}
    assert next(each.proxy for each in experiment.expected if each.kind is Expected.RETRIES) == "redis"


WRITE = {"method": "PUT", "path": "/items/4", "headers": {"X-Key": "${env.KEY}"}, "json": {"name": "${value}"}}
READ = {"path": "/items/4", "value": "$.name", "readers": 3}
VERIFY = {"write": {"path": "/items"}, "id": "$.id", "read": {"path": "/items/${id}"}, "within": "4 s"}


def test_an_invalidation_says_what_is_written_who_reads_and_what_must_hold(tmp_path: Path) -> None:
    wanted = {"stale": "< 1 %", "consistency": "500 ms", "load": 3, "hit_rate": "8 s", "lost": 0}
    wanted["degraded"] = {"status": [200], "request": {"path": "/items", "value": "header:x-from", "equals": "memory"}}
    wanted["breaker"] = {"within": "2 s", "metric": "breaker_redis_openings_total"}
    written = {"name": "new", "at": "5 s", "for": "3 s", "expect": wanted, "verify": VERIFY}
    written["invalidate"] = {"write": WRITE, "read": READ, "pattern": "tag"}
    scenario = load(with_experiments(written), tmp_path, {"KEY": "k"})
    (experiment,) = phase_of(scenario).experiments
    action = experiment.action
    assert isinstance(action, InvalidateAction)
    assert isinstance(action.by, ControlRequest)
    assert (action.by.headers, action.by.body, action.pattern) == (
        (("X-Key", "${env.KEY}"),),
        '{"name": "${value}"}',
        Pattern.TAG,
    )
    assert action.read is not None
    assert (action.read.place, action.read.readers, action.read.by_version) == ("json:$.name", 3, False)
    assert experiment.degraded is not None
    assert (experiment.degraded.place, experiment.degraded.equals) == ("header:x-from", "memory")
    # What recovers is waited for from the invalidation on, and writes are read back after its three seconds.
    assert experiment.room == 5.0
    assert {each.kind.value: each.limit for each in experiment.expected} == {
        "degraded": 0.99,
        "breaker": 2.0,
        "load": 3.0,
        "hit_rate": 8.0,
        "stale": 0.01,
        "consistency": 0.5,
        "lost": 0.0,
    }
    assert secrets(scenario, {"KEY": "k", "OTHER": "o"})["KEY"] == "k"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"expect": {"stale": "1 %"}, "invalidate": {"write": WRITE}}, "nobody reads, so 'stale' cannot be measured"),
        ({"expect": {"failover": "2 s"}, "command": "true"}, "may be over before others have taken over"),
        ({"expect": {"lost": 0}, "invalidate": {"write": WRITE}}, "nothing is written, so nothing can be lost"),
        ({"verify": VERIFY, "invalidate": {"write": WRITE}, "expect": {}}, "no limit on 'lost' is given"),
        ({"invalidate": {"write": WRITE, "redis": {"url": "redis://h", "command": "GET"}}}, "exactly one of write, redis"),
        ({"invalidate": {"write": WRITE, "read": {"path": "/a"}}}, "exactly one of value, version"),
        ({"invalidate": {"write": WRITE, "read": {**READ, "value": "name"}}}, "'name' is no place in a response"),
        ({"invalidate": {"write": {"path": "/${id}"}}}, "${id} means nothing here"),
        ({"invalidate": {"redis": {"url": "redis://${x}", "command": "GET 'a"}}}, "the command cannot be read"),
        (
            {"invalidate": {"write": WRITE, "read": READ}, "expect": {"consistency": "9 s"}},
            "reads end before this limit",
        ),
        (
            {"invalidate": {"write": WRITE, "read": {**READ, "every": "1 ms"}}},
            "more than 8000 reads",
        ),
        (
            {"verify": {**VERIFY, "every": "0.1 ms"}, "invalidate": {"write": WRITE}, "expect": {"lost": 0}},
            "more than 20,000 requests while it lasts",
        ),
        (
            {"invalidate": {"write": WRITE}, "verify": {**VERIFY, "read": {"path": "/a"}}, "expect": {"lost": 0}},
            "nothing says which write is read back",
        ),
    ],
)
def test_probes_that_cannot_show_anything_are_faults(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert any(
        said in fault for fault in faults(with_experiments({"name": "n", "at": "5 s", "for": "3 s", **changed}), tmp_path)
    )


def test_a_proxy_takes_port_and_protocol_from_the_url_and_a_bare_port_listens_on_this_machine(tmp_path: Path) -> None:
    (proxy,) = load(with_experiments(), tmp_path).proxies
    assert (proxy.to_host, proxy.to_port, proxy.protocol) == ("cache", 6379, WireProtocol.REDIS)
    assert proxy.address == "127.0.0.1:16379"


def test_a_proxy_reads_the_environment(tmp_path: Path) -> None:
    data = with_experiments()
    data["proxies"] = {"db": {"to": "${env.DB:-postgresql+asyncpg://here:1/x}", "listen": "[::1]:15432"}}
    (proxy,) = load(data, tmp_path, {"DB": "postgres://there/x"}).proxies
    assert (proxy.to_host, proxy.to_port, proxy.protocol) == ("there", 5432, WireProtocol.POSTGRES)
    assert proxy.address == "[::1]:15432"
    (proxy,) = load(data, tmp_path).proxies
    assert (proxy.to_host, proxy.to_port, proxy.protocol) == ("here", 1, WireProtocol.POSTGRES)


def test_repetitions_follow_each_other_and_random_instants_follow_the_seed(tmp_path: Path) -> None:
    again = {**DOWN, "at": ["2 s", "4 s"], "times": 3, "every": "10 s"}

    def instants(seed: int) -> list[float]:
        return [each.at for each in phase_of(load(with_experiments(again, seed=seed), tmp_path)).experiments]

    first = instants(1)
    assert all(2.0 + 10.0 * n <= at <= 4.0 + 10.0 * n for n, at in enumerate(first))
    assert first == instants(1) != instants(2)
    assert [each.repeat for each in phase_of(load(with_experiments(again), tmp_path)).experiments] == [1, 2, 3]


def test_a_profile_made_from_another_keeps_the_experiments_unless_it_names_its_own(tmp_path: Path) -> None:
    data = with_experiments(DOWN)
    data["profiles"] |= {
        "same": {"from": "full"},
        "other": {"from": "full", "phases": [{"name": "load", "experiments": []}]},
    }
    scenario = load(data, tmp_path)
    assert phase_of(scenario, "same").experiments == phase_of(scenario).experiments
    assert phase_of(scenario, "other").experiments == ()


def test_an_experiment_that_no_longer_fits_into_a_scaled_phase_is_a_fault(tmp_path: Path) -> None:
    data = with_experiments({**DOWN, "steady": "1 s"})
    data["profiles"]["short"] = {"from": "full", "scale": {"duration": 0.05}}
    (fault,) = faults(data, tmp_path)
    assert "the experiment 'down' of phase 'load' with its recovery ends after 6 s, the phase after 3 s" in fault


def test_the_digest_changes_with_the_experiments_and_not_with_what_is_expected_by_nobody(tmp_path: Path) -> None:
    plain = load(with_experiments(), tmp_path).digest
    data = shop()
    data["profiles"]["full"][0]["duration"] = "60 s"
    assert plain == load(data, tmp_path).digest
    assert plain != load(with_experiments(DOWN), tmp_path).digest


def test_processes_requests_and_commands_are_read(tmp_path: Path) -> None:
    data = with_experiments(
        {"name": "a", "at": 1, "for": 1, "process": {"do": "kill", "of": "pid:4711", "start": "./start"}},
        {"name": "b", "at": 3, "for": 1, "request": {"path": "/c", "json": {"t": "${env.KEY}"}, "undo": {"path": "/u"}}},
        {"name": "c", "at": 5, "for": 1, "command": "true"},
        {"name": "d", "at": 7, "for": 1, "pressure": {"of": "port:8400", "cpu": "50 %", "memory": "64 MiB"}},
    )
    scenario = load(data, tmp_path)
    killed, asked, _, pressed = (each.action for each in phase_of(scenario).experiments)
    assert killed == ProcessAction(blow=Blow.KILL, of="pid:4711", start="./start")
    assert isinstance(asked, RequestAction)
    assert asked.undo_by is not None
    assert (asked.begin.method, asked.begin.body, asked.undo_by.path) == ("POST", '{"t": "${env.KEY}"}', "/u")
    assert (pressed.cpu, pressed.memory) == (0.5, 64 * 2**20)
    assert secrets(scenario, {"KEY": "k"}) == {"KEY": "k"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"at": ["4 s", "2 s"]}, "'at' ends before it begins"),
        ({"steady": "3 s"}, "'at' leaves no room for the steady state before it"),
        ({"times": 2}, "'times' and 'every' belong together"),
        ({"expect": {"proxy": "redis"}}, "'proxy' says where retries are counted"),
        ({"expect": {"errors": "> 5 %"}}, "the limit is on the wrong side"),
    ],
)
def test_what_makes_no_sense_is_a_fault(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert any(said in fault for fault in faults(with_experiments({**DOWN, **changed}), tmp_path))


def test_two_proxies_at_one_address_and_a_proxy_to_itself_are_faults(tmp_path: Path) -> None:
    data = with_experiments()
    data["proxies"] |= {
        "same": {"to": "a:1", "listen": 16379},
        "self": {"to": "127.0.0.1:5", "listen": 5},
        "none": {"to": "http://", "listen": 7},
    }
    said = " ".join(faults(data, tmp_path))
    assert "listen on one address" in said
    assert "would pass on to itself" in said
    assert "'to' names no host and port" in said
