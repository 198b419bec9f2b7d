from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.errors import UsageError
from velro_gate.sandbox.__main__ import _parser, arguments_for, main, settings_from
from velro_gate.sandbox.settings import STEPS, WRONG, Settings

ROOT = Path(__file__).parents[2]
POSITIVE = st.floats(min_value=1e-3, max_value=1e6)


@given(
    st.builds(
        Settings,
        host=st.sampled_from(["127.0.0.1", "::1"]),
        port=st.integers(0, 65_535),
        work=st.booleans(),
        control=st.booleans(),
        slow=st.dictionaries(st.sampled_from(STEPS), POSITIVE),
        seed=st.integers(0, 10**9),
        users=st.integers(1, 10**6),
        pool_size=st.integers(1, 10**4),
        memory_ttl=POSITIVE,
        breaker_recovery=POSITIVE,
        wrong=st.lists(st.sampled_from(WRONG), max_size=2).map(tuple),
    )
)
def test_the_command_line_gives_the_settings_back(settings: Settings) -> None:
    assert settings_from(_parser().parse_args(arguments_for(settings)), {}) == settings


def test_secrets_and_addresses_come_from_the_environment() -> None:
    environ = {"VELRO_SANDBOX_SECRET": "s" * 40, "REDIS_URL": "redis://r", "DATABASE_URL": "postgresql://d"}
    settings = settings_from(_parser().parse_args([]), environ)
    assert (settings.secret, settings.redis_url, settings.database_url) == tuple(environ.values())
    empty = settings_from(_parser().parse_args([]), dict.fromkeys(environ, ""))
    assert (empty.secret, empty.redis_url, empty.database_url) == (None, None, None)


@pytest.mark.parametrize("slow", ["authorization_check", "authorization_check=", "authorization_check=fast", "=2", "nothing=2"])
def test_a_slowdown_that_cannot_be_understood_is_a_usage_error(slow: str) -> None:
    with pytest.raises(UsageError):
        settings_from(_parser().parse_args(["--slow", slow]), {})


def test_a_fault_is_reported_in_words_and_by_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "70000"], {}) == 2
    assert capsys.readouterr().err.startswith("error: 70000 is not a port")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_people_are_shown_url_and_key_and_a_signal_ends_it_quietly(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "velro_gate.sandbox", "--users", "5", "--pool-size", "2"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(number)
        assert (process.wait(), process.stderr.read()) == (0, "")
    assert lines[0].startswith("The sandbox answers at http://127.0.0.1:")
    assert lines[2].startswith("export SUPABASE_SERVICE_KEY=ey")


def test_it_does_not_start_for_a_parent_that_has_already_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "velro_gate.sandbox", "--parent", "1999999999"], cwd=ROOT, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
