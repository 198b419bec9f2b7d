"""Canaries: secrets that hostile code looks for and says in every spelling are in nothing that a job leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.action.test_action import PULL_REQUEST, variables
from tests.cli.command import ROOT, Ended, velro_gate
from tests.cli.hostile import echoing, looking, spellings, traces
from tests.gate.jobs import World, world
from velro_gate.secrecy import forget, hide, outgoing, outgoing_json

pytestmark = pytest.mark.hostile("tokens and canaries")

TOKEN = "good-Canary.T0ken/&<x>+7f3a"
KEY = "Canary-Servic3-key"
COLOUR = "Canary7Colour"

SCENARIO = """\
name: tiny
target: {url: "${env.VELRO_API_URL}"}
auth: {bearer: SERVICE_KEY}
steps:
  - name: look
    path: /look
    headers: {X-Colour: "${env.COLOUR}"}
    checks: [{json: $.allowed, equals: true}]
requirements:
  error_rate: {target: "< 1 %", critical: 5 %}
profiles:
  pr:
    - {name: short, users: 60, ramp: 0.5 s, duration: 2 s, rate: 40/s, requirements: {p95: "< 900 ms"}}
"""

JOURNEY = """\
import os

OTHERWISE = bytes(byte ^ 1 for byte in range(256))


def held(text):
    'Whether this process has a text in its memory. It is given as another text, so that looking for it puts it nowhere.'
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            begin, end = (int(part, 16) for part in place.split("-"))
            if rights.startswith("rw") and "[v" not in line:
                memory.seek(begin)
                if bytes.fromhex(text) in memory.read(end - begin).translate(OTHERWISE):
                    return True
    return False


async def wander(user):
    with open("found.txt", "a") as kept:
        kept.write(f"{held('TOKEN')} {'VELRO_TOKEN' in os.environ} {held('COLOUR')}\\n")
    print(f"::warning::{os.environ['COLOUR']}", flush=True)
    raise RuntimeError(f"no such colour: {os.environ['COLOUR']}")
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        made.api.state.tokens = [TOKEN]
        yield made


def hostile_job(here: World, scenario: str, **more: str) -> Ended:
    """A job whose variables hold the canaries. Its runner's files lie where everything it starts can list them."""
    env = variables(here, "pull_request", PULL_REQUEST, "", **more)
    commands = Path(env["RUNNER_TEMP"], "commands")
    commands.mkdir()
    for name in ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        (commands / name).write_text("KEPT=1\n" if name == "GITHUB_ENV" else "", encoding="utf-8")
        env[name] = str(commands / name)
    Path(env["VELRO_SCENARIO"]).write_text(scenario, encoding="utf-8")
    hidden = {"VELRO_TOKEN": TOKEN, "INPUT_TOKEN": TOKEN, "ACTIONS_RUNTIME_TOKEN": TOKEN, "GITHUB_TOKEN": TOKEN}
    hidden |= {"SERVICE_KEY": KEY, "COLOUR": COLOUR}
    return velro_gate("action", cwd=here.folder, env={**env, **hidden}, started=True)


def left_behind(here: World, ended: Ended, planted: set[str]) -> dict[str, bytes]:
    """Every byte that a job has left: files, log, and what the API and the git server have got."""
    found = {"out": ended.out.encode(), "err": ended.err.encode()}
    for path in here.folder.rglob("*"):
        if path.is_file() and path.name not in planted:
            found[str(path.relative_to(here.folder))] = path.read_bytes()
    state = here.api.state
    found["api"] = json.dumps([state.comments, state.statuses], ensure_ascii=False).encode()
    return found


def assert_no_canary(found: dict[str, bytes]) -> None:
    for secret in (TOKEN, KEY, COLOUR):
        for trace in traces(secret):
            assert [name for name, content in found.items() if trace in content.lower()] == [], (secret, trace)


def test_no_canary_of_a_hostile_build_and_service_is_in_anything_that_a_job_leaves(here: World, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    looks = looking(mine, mine / "looks.json", TOKEN)
    serves = echoing(mine, [TOKEN, KEY, COLOUR])
    ended = hostile_job(
        here, SCENARIO, VELRO_BUILD_COMMAND=f"{looks}; env", VELRO_START_COMMAND=f"{looks}; {serves}", VELRO_URL=""
    )
    assert ended.code == 0, ended.err
    assert_no_canary(left_behind(here, ended, {"looks.json", "lines.json", "echoes.py"}))
    for look in map(json.loads, (mine / "looks.json").read_text("utf-8").splitlines()):
        assert look["said_by"] == []
        taken = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_TOKEN")
        assert [name for name in look["variables"] if name in taken or name.startswith(("INPUT_", "ACTIONS_"))] == []
    # What was written into the runner's files by listing them is gone, what belongs there is there.
    commands = here.folder / "temporary/commands"
    assert (commands / "GITHUB_ENV").read_text("utf-8") == "KEPT=1\n"
    assert "verdict<<" in (commands / "GITHUB_OUTPUT").read_text("utf-8")
    assert [path.name for path in commands.iterdir() if "KIT_EVIL" in path.read_text("utf-8")] == []
    assert "has changed the runner's file GITHUB_ENV" in ended.err


def test_a_build_and_a_service_of_another_user_reach_nothing_of_the_job(here: World) -> None:
    # Both find their programs in the copy of the workspace; the interpreter has to be one that everybody may run.
    everybodys = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    looks = looking(here.folder, Path("/dev/stdout"), TOKEN)
    serves = echoing(here.folder, [TOKEN, KEY, COLOUR])
    build, start = (
        line.replace(sys.executable, everybodys).replace(f"{here.folder}/", "") for line in (f"id -un; {looks}", serves)
    )
    ended = hostile_job(
        here, SCENARIO, VELRO_BUILD_COMMAND=build, VELRO_START_COMMAND=start, VELRO_URL="", VELRO_SERVICE_USER="nobody"
    )
    assert ended.code == 0, ended.err
    (log,) = (here.folder / "velro-results").glob("*/build-head.log")
    _, user, look = log.read_text("utf-8").splitlines()
    assert user == "nobody"
    assert json.loads(look)["said_by"] == []
    # It could not even be tried.
    assert "has changed the runner's file" not in ended.err
    assert_no_canary(left_behind(here, ended, {"lines.json", "echoes.py"}))
    assert not [path for path in Path("/tmp").glob("velro-service-*") if path.stat().st_mtime > log.stat().st_mtime - 1]


def test_a_job_that_cannot_become_the_service_user_ends_before_anything_is_measured(here: World) -> None:
    ended = hostile_job(here, SCENARIO, VELRO_START_COMMAND="true", VELRO_URL="", VELRO_SERVICE_USER="no-such-user")
    assert ended.code == 2, ended.err
    assert "there is no user no-such-user on this machine" in ended.err
    assert here.api.state.statuses[-1]["state"] == "error"


def test_a_journey_shares_no_process_with_the_token_and_its_words_are_masked(here: World, tmp_path: Path) -> None:
    other = {name: bytes(byte ^ 1 for byte in secret.encode()).hex() for name, secret in (("TOKEN", TOKEN), ("COLOUR", COLOUR))}
    code = JOURNEY.replace("held('TOKEN')", f"held('{other['TOKEN']}')").replace("held('COLOUR')", f"held('{other['COLOUR']}')")
    (here.folder / "wandering.py").write_text(code, encoding="utf-8")
    dropped = ("    path: ", "    headers: ", "    checks: ")
    lines = [line for line in SCENARIO.splitlines(keepends=True) if not line.startswith(dropped)]
    walked = "".join(lines).replace("auth: {bearer: SERVICE_KEY}", "auth: {bearer: COLOUR}\njourney: wandering:wander")
    ended = hostile_job(here, walked, VELRO_START_COMMAND=echoing(tmp_path, [KEY]), VELRO_URL="")
    assert ended.code == 2, ended.err
    assert "no such colour" in ended.err
    assert "\n::warning::" not in ended.err + ended.out
    assert set((here.folder / "found.txt").read_text("utf-8").split("\n")) == {"False False True", ""}
    found = left_behind(here, ended, {"lines.json", "echoes.py"})
    assert_no_canary({name: content for name, content in found.items() if not name.endswith("wandering.py")})


LOUD = """\
import os
import subprocess

SLEEPS = "exec setsid sleep 600.4711"


class Collector:
    def __init__(self):
        # It leaves its group, its session and its parent.
        subprocess.run(["/bin/sh", "-c", f"({SLEEPS}) >/dev/null 2>&1 & echo $! >left"], check=True)

    def collect(self):
        with open("found.txt", "a") as kept:
            kept.write(f"{'VELRO_TOKEN' in os.environ} {'GITHUB_OUTPUT' in os.environ}\\n")
        os.write(3, f"{os.environ['COLOUR']}\\n".encode())
        print(f"\\n::warning::{os.environ['COLOUR']}", flush=True)
        raise RuntimeError(f"no such colour: {os.environ['COLOUR']}")
"""
LOUDLY = """
metrics:
  queue: {collector: "loud:Collector"}
"""
BREAKS = """\
      experiments:
        - {name: loud, at: 0.2 s, for: 0.2 s, command: "echo ::warning::$COLOUR; echo ${VELRO_TOKEN-none} >told; exit 3"}
"""


def test_a_collector_and_a_command_of_an_experiment_find_no_token_say_no_secret_and_leave_nothing(
    here: World, tmp_path: Path
) -> None:
    (here.folder / "loud.py").write_text(LOUD, encoding="utf-8")
    phase = "    - name: short\n      users: 60\n      ramp: 0.5 s\n      duration: 2 s\n      rate: 40/s\n"
    scenario = SCENARIO.partition("    - {name: short")[0] + phase + BREAKS + LOUDLY
    ended = hostile_job(here, scenario, VELRO_START_COMMAND=echoing(tmp_path, [KEY]), VELRO_URL="")
    assert ended.code == 4, ended.err
    assert "a command ended with exit code 3" in ended.err + (here.api.state.comments[0]["body"])
    assert set((here.folder / "found.txt").read_text("utf-8").split("\n")) == {"False False", ""}
    assert (here.folder / "told").read_text("utf-8") == "none\n"
    assert "\n::warning::" not in ended.err + ended.out
    left = Path("/proc", (here.folder / "left").read_text("utf-8").strip(), "cmdline")
    assert not left.exists() or b"600.4711" not in left.read_bytes()
    assert_no_canary(left_behind(here, ended, {"lines.json", "echoes.py"}))


def test_another_process_of_the_same_user_reads_neither_block_nor_memory_nor_descriptors() -> None:
    waits = (
        "from velro_gate.hardening import harden, withheld\n"
        "harden(); print(len(withheld()['VELRO_TOKEN']), flush=True); input()"
    )
    # Root may read everything, so this needs somebody else.
    somebody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": ()} if os.getuid() == 0 else {}
    env = {"PYTHONPATH": str(ROOT), "VELRO_TOKEN": TOKEN}
    python = [shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable]
    holder = subprocess.Popen(
        [*python, "-c", waits], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **somebody
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline().strip() == str(len(TOKEN))
        for kind in ("environ", "mem", "maps", "fd/0"):
            read = subprocess.run(["cat", f"/proc/{holder.pid}/{kind}"], capture_output=True, check=False, **somebody)
            assert b"ermission denied" in read.stderr
        assert TOKEN.encode() not in Path(f"/proc/{holder.pid}/environ").read_bytes()
        holder.communicate("\n")


@pytest.fixture
def hidden() -> Iterator[None]:
    hide([TOKEN], certain=True)
    yield
    forget()


@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize("spelt", spellings(TOKEN))
def test_a_secret_is_masked_in_every_usual_spelling(spelt: str) -> None:
    masked = outgoing(f"before {spelt} after")
    assert [trace for trace in traces(TOKEN) if trace in masked.lower().encode()] == []
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.usefixtures("hidden")
def test_a_json_document_stays_one_and_keeps_its_numbers() -> None:
    hide(["1234567890", "p95-of-it"])
    document = {"p95-of-it": 1234567890, "text": f'a "{TOKEN}"', "list": [TOKEN, 1.5, None]}
    assert json.loads(outgoing_json(json.dumps(document))) == {"***": 1234567890, "text": 'a "***"', "list": ["***", 1.5, None]}
