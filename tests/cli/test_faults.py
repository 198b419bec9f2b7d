"""Bad input and faults, as a user meets them: the right exit code and one clear message, never a traceback."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import psutil
import pytest
import trustme

from tests.cli.command import ROOT, Ended, command, environment, tiny_scenario, velro_gate
from tests.service import service


def gate(scenario: Path, url: str, *more: object, **options: object) -> Ended:
    """Gate a tiny scenario in its own folder, without measuring the generator first."""
    return velro_gate("gate", scenario, "--url", url, "--no-calibration", *more, cwd=scenario.parent, **options)  # type: ignore[arg-type]


def verdict_of(folder: Path) -> dict[str, object]:
    """The only verdict.json below a folder."""
    (path,) = folder.glob("velro-results/*/verdict.json")
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def closed_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_unknown_host_is_broken_and_named(tmp_path: Path) -> None:
    ended = gate(tiny_scenario(tmp_path), "http://no-such-host.invalid:8400")
    assert ended.code == 4
    assert "no-such-host.invalid" in ended.err


def test_a_refused_port_is_broken_and_says_that_nobody_listens(tmp_path: Path) -> None:
    port = closed_port()
    ended = gate(tiny_scenario(tmp_path), f"http://127.0.0.1:{port}")
    assert ended.code == 4
    assert str(port) in ended.err
    assert "refused" in ended.err.lower()


def test_an_untrusted_certificate_is_broken_and_called_by_its_name(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with service(tls=context) as running:
        ended = gate(tiny_scenario(tmp_path), running.url)
    assert ended.code == 4
    assert "certificate" in ended.err.lower()


def test_a_service_that_answers_500_only_fails_the_gate(tmp_path: Path) -> None:
    with service("errors") as running:
        ended = gate(tiny_scenario(tmp_path), running.url)
    assert ended.code == 1
    assert "requests failed" in ended.out
    assert verdict_of(tmp_path)["verdict"] == "fail"


def test_a_service_that_dies_in_the_middle_of_a_phase_fails_the_run_and_keeps_the_record(tmp_path: Path) -> None:
    with service("dies", dies_after=100) as running:
        ended = gate(tiny_scenario(tmp_path, duration="30 s"), running.url)
    assert ended.code == 1
    assert "The service stopped responding in short" in ended.out
    (record,) = tmp_path.glob("velro-results/*/record.json")
    (phase,) = json.loads(record.read_text(encoding="utf-8"))["phases"]
    assert phase["service_gone"]
    assert phase["steps"][0]["counts"]["ok"] > 0


def test_a_slow_drip_fails_by_timeouts_and_not_by_hanging(tmp_path: Path) -> None:
    with service("drip") as running:
        ended = gate(tiny_scenario(tmp_path, users=10, rate="10/s"), running.url)
    assert ended.code == 1
    (record,) = tmp_path.glob("velro-results/*/record.json")
    outcomes = json.loads(record.read_text(encoding="utf-8"))["phases"][0]["steps"][0]["outcomes"]
    assert outcomes.get("TIMEOUT", outcomes.get("timeout", 0)) > 0


def test_too_few_descriptors_are_refused_before_the_first_request_with_the_number_that_is_short(tmp_path: Path) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        _forbid_raising_limits()

    with service() as running:
        ended = gate(tiny_scenario(tmp_path, users=5_000, rate="500/s"), running.url, limit=few)
        assert running.requests == 0
    assert ended.code == 4
    assert "5,000 users need" in ended.err
    assert "200" in ended.err


def _forbid_raising_limits() -> None:
    """Give up CAP_SYS_RESOURCE, which lets root raise its own hard limits, from the bounding set (prctl 24, capability 24)."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(24, 24, 0, 0, 0)


def test_a_full_disk_is_broken_and_says_where(tmp_path: Path) -> None:
    def small_files() -> None:
        # The kernel refuses to grow a file beyond this: the same error path as a full disk, without needing one.
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, 8_192))

    with service() as running:
        ended = gate(tiny_scenario(tmp_path, users=300, rate="400/s"), running.url, limit=small_files)
    assert ended.code == 4
    assert "samples" in ended.err


def test_a_place_that_may_not_be_written_is_a_usage_error_before_anything_is_sent(tmp_path: Path) -> None:
    with service() as running:
        # Not even root may make folders here.
        ended = gate(tiny_scenario(tmp_path), running.url, "--output", "/sys/velro-results")
        assert running.requests == 0
    assert ended.code == 2
    assert "/sys/velro-results" in ended.err


@pytest.mark.parametrize("more", [("--no-calibration",), ()], ids=["in the load", "in the null run"])
def test_ctrl_c_ends_the_run_soon_and_keeps_the_partial_record(tmp_path: Path, more: tuple[str, ...]) -> None:
    with service() as running:
        child = subprocess.Popen(
            command("gate", tiny_scenario(tmp_path, duration="60 s"), "--url", running.url, *more),
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        # A progress line says that the load is running; caveats about the machine may come before it.
        said = iter(child.stderr.readline, "")
        first = next(line for line in said if line.startswith("[1/1]"))
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
    assert child.returncode == 130, first + err
    assert "Traceback" not in err
    (record,) = tmp_path.glob("velro-results/*/record.json")
    kept = json.loads(record.read_text(encoding="utf-8"))
    assert kept["interrupted"] is True
    assert verdict_of(tmp_path)["verdict"] == "broken"


def test_ctrl_c_at_a_terminal_reaches_the_shards_as_well_and_they_end_in_order(tmp_path: Path) -> None:
    with service() as running:
        scenario = tiny_scenario(tmp_path, duration="60 s")
        child = subprocess.Popen(
            command("gate", scenario, "--url", running.url, "--shards", "2", "--no-calibration"),
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        assert child.stderr is not None
        said = iter(child.stderr.readline, "")
        first = next(line for line in said if line.startswith("[1/1]"))
        # The third reads the sources.
        children = psutil.Process(child.pid).children()
        shards = [each for each in children if "velro_gate.engine.shards.process" in each.cmdline()]
        os.killpg(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=30)
    assert child.returncode == 130, first + err
    assert "Traceback" not in err
    assert len(shards) == 2
    assert not any(each.is_running() for each in children)
    (record,) = tmp_path.glob("velro-results/*/record.json")
    kept = json.loads(record.read_text(encoding="utf-8"))
    assert not any("the process that reads it" in note for note in kept["notes"])
    assert (kept["interrupted"], kept["shards"], kept["phases"][0]["shards_lost"]) == (True, 2, [])


@pytest.mark.parametrize("asked", ["0", "65", "-1", "two", "²", ""])
def test_a_number_of_shards_that_is_none_is_a_usage_error(tmp_path: Path, asked: str) -> None:
    ended = velro_gate("check", tiny_scenario(tmp_path), "--url", "http://127.0.0.1:1", f"--shards={asked}", cwd=tmp_path)
    assert ended.code == 2
    assert "from 1 to 64, or auto" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_load_ends_the_command_as_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        child = subprocess.Popen(
            command("gate", tiny_scenario(tmp_path), "--url", f"http://127.0.0.1:{silent.getsockname()[1]}"),
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # The tests themselves may run in a shell's background, where this signal is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads here)
        )
        connection, _ = silent.accept()
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
        connection.close()
    assert (child.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err


def test_a_missing_variable_is_a_usage_error_that_names_it(tmp_path: Path) -> None:
    ended = velro_gate("gate", tiny_scenario(tmp_path), cwd=tmp_path)
    assert ended.code == 2
    assert "VELRO_API_URL" in ended.err


def test_a_missing_secret_is_a_usage_error_before_anything_is_sent(tmp_path: Path) -> None:
    with service() as running:
        ended = velro_gate("gate", ROOT / "scenarios/velro-prd.yaml", "--profile", "quick", "--url", running.url, cwd=tmp_path)
        assert running.requests == 0
    assert ended.code == 2
    assert "SUPABASE_SERVICE_KEY" in ended.err


def test_a_broken_scenario_shows_every_fault_with_its_line(tmp_path: Path) -> None:
    path = tiny_scenario(tmp_path)
    path.write_text(path.read_text().replace("users:", "usres:").replace("timeout: 2 s", "timeout: soon"), encoding="utf-8")
    ended = velro_gate("check", path, "--url", "http://127.0.0.1:1", cwd=tmp_path)
    assert ended.code == 2
    assert "tiny.yaml:7" in ended.err
    assert "did you mean 'users'" in ended.err


def test_an_empty_phase_is_a_fault_of_the_scenario(tmp_path: Path) -> None:
    path = tiny_scenario(tmp_path, users=0)
    ended = velro_gate("check", path, "--url", "http://127.0.0.1:1", cwd=tmp_path)
    assert ended.code == 2
    assert "users" in ended.err


def test_a_phase_in_which_nothing_falls_due_is_broken(tmp_path: Path) -> None:
    with service() as running:
        ended = gate(tiny_scenario(tmp_path, users=1, rate="0.001/s", duration="1 s"), running.url)
    assert ended.code == 4


def test_a_requirement_on_a_metric_that_was_not_measured_is_never_green(tmp_path: Path) -> None:
    with service("no-cache-header") as running:
        ended = gate(tiny_scenario(tmp_path, requirements='{hit_rate: ">= 90 %"}'), running.url)
    assert ended.code == 4
    assert "not measured" in ended.out


@pytest.mark.parametrize("profile", ["full", "fast"])
def test_an_unknown_profile_is_a_usage_error_that_lists_the_known_ones(tmp_path: Path, profile: str) -> None:
    ended = velro_gate("check", tiny_scenario(tmp_path), "--profile", profile, "--url", "http://127.0.0.1:1", cwd=tmp_path)
    assert ended.code == 2
    assert "pr" in ended.err


def test_a_record_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    ended = velro_gate("judge", tmp_path, cwd=tmp_path)
    assert ended.code == 2
    assert "record.json" in ended.err
