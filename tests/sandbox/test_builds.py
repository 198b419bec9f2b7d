"""The sandbox as a build that a duet starts."""

from __future__ import annotations

import shlex

from velro_gate.sandbox.__main__ import _parser, settings_from
from velro_gate.sandbox.builds import build_environ, build_line
from velro_gate.sandbox.settings import STEPS, Settings


def settings(slowdown: float, port: int) -> Settings:
    """What the sandbox's own parser makes of the line, once a shell has put the port in."""
    words = shlex.split(build_line(slowdown).removeprefix("exec ").replace("$PORT", str(port)))
    given = words[words.index("velro_gate.sandbox") + 1 :]
    return settings_from(_parser().parse_args(given), build_environ({}))


def test_a_slowdown_slows_every_step_by_the_same_share() -> None:
    assert settings(0.2, 4711).slow == dict.fromkeys(STEPS, 1.2)
    assert settings(0.0, 4711).slow == {}


def test_each_start_has_its_own_port_and_with_it_its_own_chance() -> None:
    one, other = settings(0.1, 4711), settings(0.1, 4712)
    assert (one.port, one.seed) == (4711, 4711)
    assert (other.port, other.seed) == (4712, 4712)
    assert not one.control


def test_the_world_has_a_fresh_secret_and_no_other_services() -> None:
    around = {"REDIS_URL": "redis://there", "DATABASE_URL": "postgres://there", "HOME": "/me"}
    one, other = build_environ(around), build_environ(around)
    assert one["VELRO_SANDBOX_SECRET"] != other["VELRO_SANDBOX_SECRET"]
    assert {"REDIS_URL", "DATABASE_URL"} & set(one) == set()
    assert one["HOME"] == "/me"
