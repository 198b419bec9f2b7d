"""What the action adds to a load: ``python -m benchmarks.action_overhead``.

Does the two steps of action.yml, installation and gate, for a pull request, against the stand-in for the API, a git server
and the sandbox. The first round installs the packages, the others find them. Overhead is the time of both steps without ramp
and measured stretch; publishing to GitHub is in it, with the second that has to lie between two writes.

The null run is not part of it: it is a measurement that the input ``calibration`` asks for. What it adds is measured by a
round of its own. Wall time means something on a quiet machine only, so CPU time is also shown, including that of the load.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tests.github.git_server import git_server, make_repository
from tests.github.stand_in import State, stand_in
from velro_gate.sandbox.process import running_sandbox
from velro_gate.sandbox.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
RAMP, DURATION = 1.0, 4.0
HEAD, BASE = "a" * 40, "b" * 40
TARGET = 5.0

SCENARIO = f"""\
name: short
target: {{url: "${{env.VELRO_API_URL}}"}}
auth: {{bearer: SUPABASE_SERVICE_KEY}}
steps: [{{name: authentication_check, path: /api/v1/auth/me}}]
requirements: {{error_rate: "< 1 %"}}
profiles:
  pr: [{{name: steady, users: 10, ramp: {RAMP:g} s, duration: {DURATION:g} s, rate: 40/s}}]
"""


def main() -> None:
    """Print each round and the worst warm one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        worst = measured(Path(name), rounds)
    print(f"overhead, warm: at most {worst:.2f} s of {rounds} rounds; target: under {TARGET:g} s")


def measured(folder: Path, rounds: int) -> float:
    """Seconds of the worst warm round."""
    (folder / "served").mkdir()
    make_repository(folder / "served")
    (folder / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    event = {
        "repository": {"default_branch": "main"},
        "pull_request": {
            "number": 7,
            "head": {"sha": HEAD, "ref": "feature", "repo": {"full_name": "acme/shop"}},
            "base": {"sha": BASE, "ref": "main", "repo": {"full_name": "acme/shop"}},
        },
    }
    (folder / "event.json").write_text(json.dumps(event), encoding="utf-8")
    state = State()
    state.pull(7, HEAD)
    with (
        stand_in(state) as api,
        git_server(folder / "served") as (url, _),
        running_sandbox(Settings(port=0, work=False)) as sandbox,
    ):
        environ = {
            **os.environ,
            "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_API_URL": api.url,
            "GITHUB_SERVER_URL": url,
            "GITHUB_SHA": HEAD,
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "VELRO_TOKEN": "good-token",
            "VELRO_SCENARIO": "scenario.yaml",
            "VELRO_CALIBRATION": "false",
            "VELRO_API_URL": sandbox.url,
            "SUPABASE_SERVICE_KEY": sandbox.key,
        }
        warm = []
        for number in range(rounds + 1):
            made = one_round(folder, number, environ)
            print(f"{'warm' if number else 'cold'}: {made}")
            warm += [made] if number else []
        made = one_round(folder, rounds + 1, {**environ, "VELRO_CALIBRATION": "true"})
        usual = statistics.median(each.gate.wall for each in warm)
        print(f"with the null run: {made}; it adds {made.gate.wall - usual:.2f} s")
    return max(each.overhead for each in warm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Seconds by the clock, and of the processor's in all processes that have ended."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Took:
        """So far; the difference of two is what lies between."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cls(wall=time.monotonic(), cpu=used.ru_utime + used.ru_stime)

    def since(self, before: Took) -> Took:
        """What lies between."""
        return Took(wall=self.wall - before.wall, cpu=self.cpu - before.cpu)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Both steps; the gate's wall time is without its load."""

    installation: Took
    gate: Took

    @property
    def overhead(self) -> float:
        """Seconds of both."""
        return self.installation.wall + self.gate.wall

    def __str__(self) -> str:
        return (
            f"installation {self.installation.wall:.2f} s (processor {self.installation.cpu:.2f} s), "
            f"gate without the load {self.gate.wall:.2f} s (processor {self.gate.cpu:.2f} s)"
        )


def one_round(folder: Path, number: int, environ: dict[str, str]) -> Round:
    """Install and gate once."""
    output = folder / f"output-{number}"
    start = Took.now()
    said = {**environ, "GITHUB_OUTPUT": str(output)}
    subprocess.run([ROOT / "scripts/install.sh", "auto"], env=said, cwd=folder, check=True, capture_output=True)
    installed = Took.now()
    python = output.read_text(encoding="utf-8").removeprefix("python=").strip()
    done = subprocess.run(
        [ROOT / "scripts/run.sh", "action"],
        env={**said, "VELRO_INSTALLED_PYTHON": python},
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    gate = Took.now().since(installed)
    return Round(installation=installed.since(start), gate=replace(gate, wall=gate.wall - RAMP - DURATION))


if __name__ == "__main__":
    main()
