"""From what is asked for to what can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import tiny_scenario
from velro_gate.engine.machine.limits import MachineLimits
from velro_gate.errors import MissingVariableError, UsageError
from velro_gate.gate.measure.setup import RunOptions, is_loopback, prepare
from velro_gate.gate.measure.shipped import shipped_scenario

KEY = {"SUPABASE_SERVICE_KEY": "a-key-of-some-length"}


def velro(**asked: object) -> RunOptions:
    return RunOptions(scenario=shipped_scenario("velro-prd"), **asked)  # type: ignore[arg-type]


def test_the_pull_request_profile_is_the_default() -> None:
    assert prepare(velro(), KEY).plan.profile == "pr"


def test_a_named_profile_is_taken() -> None:
    setup = prepare(velro(profile="full"), KEY)
    assert [phase.users for phase in setup.phases] == [500, 2_500, 5_000, 10_000, 15_000, 8_000]


def test_phases_can_be_picked_and_such_a_plan_is_not_compared_with_whole_ones() -> None:
    whole, part = prepare(velro(profile="full"), KEY), prepare(velro(profile="full", phases=("stress_test",)), KEY)
    assert [phase.name for phase in part.phases] == ["stress_test"]
    assert part.plan.profile != whole.plan.profile


def test_an_unknown_phase_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match="did you mean 'stress_test'"):
        prepare(velro(profile="full", phases=("stress",)), KEY)


def test_an_unknown_profile_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match="did you mean 'quick'"):
        prepare(velro(profile="quik"), KEY)


def test_the_url_of_the_command_line_wins_over_the_environment() -> None:
    setup = prepare(velro(url="http://127.0.0.1:1"), {**KEY, "VELRO_API_URL": "http://127.0.0.1:2"})
    assert setup.scenario.target.url == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "host:8400",
        "http://",
        "http://host:99999",
        "http://host:0",
        "http://host/v1#top",
        "http://host?key=sekret",
        "http://u:sekret@host",
    ],
)
@pytest.mark.parametrize("scenario", ['"http://127.0.0.1:1"', '"${env.VELRO_API_URL}"'])
def test_a_url_that_is_none_is_refused_whatever_the_scenario_says_and_is_not_shown(
    tmp_path: Path, url: str, scenario: str
) -> None:
    path = tiny_scenario(tmp_path)
    path.write_text(path.read_text().replace('"${env.VELRO_API_URL}"', scenario))
    with pytest.raises(UsageError, match=r"^error: --url ") as caught:
        prepare(RunOptions(scenario=path, url=url), {})
    assert "sekret" not in str(caught.value)


def test_a_slash_at_the_end_of_the_url_is_dropped() -> None:
    assert prepare(velro(url="http://127.0.0.1:1/"), KEY).scenario.target.url == "http://127.0.0.1:1"


def test_the_url_does_not_change_what_is_comparable(tmp_path: Path) -> None:
    path = tiny_scenario(tmp_path)
    digests = {prepare(RunOptions(scenario=path, url=f"http://127.0.0.1:{port}"), {}).plan.digest for port in (1, 2)}
    assert len(digests) == 1


def test_the_number_of_shards_is_the_one_asked_for_or_what_the_plan_needs_and_changes_no_plan() -> None:
    roomy = MachineLimits(descriptors_reachable=10**5, ports=None, memory=None, cores=8.0)
    asked = [prepare(velro(profile="full", shards=shards), KEY) for shards in (None, 1, 7)]
    assert [setup.shard_count(roomy) for setup in asked[1:]] == [1, 7]
    assert 1 <= asked[0].shard_count(roomy) < 7
    assert asked[0].plan == asked[1].plan == asked[2].plan


def test_a_missing_secret_is_named_unless_secrets_are_not_needed() -> None:
    with pytest.raises(MissingVariableError, match="SUPABASE_SERVICE_KEY"):
        prepare(velro(), {})
    assert prepare(velro(), {}, need_secrets=False).secrets == {}


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:80", True),
        ("http://127.8.9.1:80", True),
        ("http://localhost:80", True),
        ("http://api.localhost", True),
        ("http://[::1]:80", True),
        ("http://10.0.0.1", False),
        ("https://velro.example", False),
        ("http://localhost.example", False),
    ],
)
def test_only_this_machine_counts_as_local(url: str, local: bool) -> None:
    assert is_loopback(url) is local


def test_a_service_behind_a_unix_socket_is_local_unless_another_place_is_named(tmp_path: Path) -> None:
    path = tiny_scenario(tmp_path)
    path.write_text(path.read_text().replace('"${env.VELRO_API_URL}"', '"http://service.test", unix_socket: service.sock'))
    there = prepare(RunOptions(scenario=path), {})
    assert there.service_is_local
    assert there.scenario.target.unix_socket == str(tmp_path / "service.sock")
    elsewhere = prepare(RunOptions(scenario=path, url="http://service.test"), {})
    assert not elsewhere.service_is_local
    assert elsewhere.plan.digest == there.plan.digest


def test_an_unknown_shipped_scenario_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no scenario 'other'"):
        shipped_scenario("other")
