from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.sandbox.conftest import SECRET
from tests.servers import free_port, postgres_server, redis_server
from velro_gate.errors import UnreachableError, UsageError
from velro_gate.sandbox.process import RunningSandbox, running_sandbox
from velro_gate.sandbox.settings import Settings

SMALL = Settings(work=False, users=5, pool_size=3)
ROOT = Path(__file__).parents[2]


def gone(pid: int) -> bool:
    """Whether a process has ended, at the latest within some seconds."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(10)
    return not psutil.pid_exists(pid)


def test_a_sandbox_answers_while_it_is_needed_and_not_afterwards() -> None:
    with running_sandbox(SMALL) as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert sandbox.counts()["total"] == 0
        assert os.getpgid(sandbox.pid) == sandbox.pid != os.getpgrp()
    assert gone(sandbox.pid)
    with pytest.raises(UnreachableError, match="does not answer"):
        sandbox.counts()


def test_it_is_stopped_when_the_block_ends_with_an_error() -> None:
    with pytest.raises(KeyError), running_sandbox(SMALL) as sandbox:
        raise KeyError
    assert gone(sandbox.pid)


def test_it_leaves_no_temporary_file_behind_even_when_it_is_killed(sandbox: RunningSandbox) -> None:
    with running_sandbox(SMALL) as killed:
        (folder,) = {Path(f.path).parent for f in psutil.Process(killed.pid).open_files() if f.path.endswith("velro.db")}
        assert folder.is_dir()
        os.kill(killed.pid, signal.SIGKILL)
    assert not folder.exists()


def test_it_is_stopped_although_it_is_stalled(sandbox: RunningSandbox) -> None:
    with running_sandbox(SMALL) as stalled:
        os.kill(stalled.pid, signal.SIGSTOP)
    assert gone(stalled.pid)


def test_it_ends_with_the_program_that_started_it_however_that_ends() -> None:
    script = (
        "import sys; from velro_gate.sandbox.process import running_sandbox; from velro_gate.sandbox.settings import Settings\n"
        "with running_sandbox(Settings(work=False, users=5, pool_size=3)) as sandbox:\n"
        "    print(sandbox.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
        parent.wait()
        assert gone(pid)


def test_no_secret_stands_on_the_command_line_and_the_key_fits_the_secret(sandbox: RunningSandbox) -> None:
    command = " ".join(psutil.Process(sandbox.pid).cmdline())
    assert SECRET not in command
    assert sandbox.key not in command
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    assert httpx.get(f"{sandbox.url}/api/v1/auth/me", headers=headers, trust_env=False).status_code == 200


def test_a_secret_of_its_own_is_made_for_every_sandbox() -> None:
    with running_sandbox(SMALL) as one, running_sandbox(SMALL) as other:
        answer = httpx.get(f"{one.url}/api/v1/auth/me", headers={"Authorization": f"Bearer {other.key}"}, trust_env=False)
    assert answer.status_code == 401


def test_a_named_port_that_is_taken_is_a_usage_error_with_the_reason(sandbox: RunningSandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(UsageError, match="refuses to start") as refused, running_sandbox(Settings(port=port)):
        pass
    assert "in use" in str(refused.value.why)


def test_a_redis_or_a_database_that_is_not_there_is_a_usage_error_with_its_variable() -> None:
    dead = free_port()
    with pytest.raises(UsageError) as refused, running_sandbox(Settings(redis_url=f"redis://127.0.0.1:{dead}/0", users=5)):
        pass
    assert "REDIS_URL" in str(refused.value.why)
    with pytest.raises(UsageError) as refused, running_sandbox(Settings(database_url=f"postgresql://velro@127.0.0.1:{dead}/x")):
        pass
    assert "DATABASE_URL" in str(refused.value.why)


def test_without_control_there_is_no_way_to_disturb_it() -> None:
    with running_sandbox(Settings(work=False, users=5, pool_size=3, control=False)) as sandbox:
        with pytest.raises(UsageError, match="nothing here"):
            sandbox.control({"reset": True})
        assert httpx.get(f"{sandbox.url}/health", trust_env=False).status_code == 200


def test_a_slower_build_is_slower_from_its_first_request() -> None:
    with running_sandbox(Settings(users=5, pool_size=3, slow={"model_access": 30.0})) as sandbox:
        assert sandbox.state()["slow"] == {"model_access": {"factor": 30.0, "instead": None, "busy": 0.0}}
        headers = {"Authorization": f"Bearer {sandbox.key}"}
        started = time.monotonic()
        httpx.get(f"{sandbox.url}/api/v1/models/model-1", headers=headers, trust_env=False)
        # 30 medians of 7 ms; the least of a million draws is above .4 medians.
        assert time.monotonic() - started > 0.084


def test_with_a_real_redis_and_a_real_database_it_survives_the_death_of_each() -> None:
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        database = stack.enter_context(postgres_server(max_connections=250))
        settings = Settings(
            work=False, users=40, redis_url=redis.url, database_url=database.url, breaker_failures=2, breaker_recovery=0.2
        )
        sandbox = stack.enter_context(running_sandbox(settings))
        headers = {"Authorization": f"Bearer {sandbox.key}", "X-User-Id": "user-3"}
        client = stack.enter_context(httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, timeout=20))

        def layer(path: str) -> str:
            answer = client.get(path)
            assert answer.status_code == 200
            return str(answer.headers["X-Cache-Layer"])

        assert "velro_db_pool_size 200.0" in client.get("/metrics").text
        made = client.post("/api/v1/generations", json={"model": "model-1", "prompt": "x"}).json()["id"]
        sandbox.control({"flush": ["memory"]})
        assert layer("/api/v1/generations") == "redis"
        assert client.get("/api/v1/generations").json()["items"][0]["id"] == made
        sandbox.control({"flush": ["memory", "redis"]})
        assert layer("/api/v1/generations") == "database"
        assert layer("/api/v1/generations") == "memory"

        os.kill(redis.pid, signal.SIGKILL)
        assert [layer(f"/api/v1/models/model-{number}") for number in range(1, 5)] == ["database"] * 4
        assert sandbox.state()["breakers"]["redis"] in ("open", "half_open")
        assert client.get("/health").json()["status"] == "degraded"

        sessions = psutil.Process(database.pid).children()
        # The immediate shutdown, which is a crash as far as clients can tell, and reaches every session.
        os.kill(database.pid, signal.SIGQUIT)
        psutil.wait_procs(sessions, timeout=10)
        assert layer("/api/v1/models/model-1") == "memory"
        refused = client.get("/api/v1/models/model-9")
        assert (refused.status_code, int(refused.headers["Retry-After"]) >= 1) == (503, True)
        assert client.get("/health").status_code == 503
