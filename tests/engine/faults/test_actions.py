"""What is broken is undone: by an order, at the end, and also when the run that broke it is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from velro_gate.engine.faults import actions, requests
from velro_gate.engine.faults.injector import running_injector

SHELL = {"environ": {"PATH": os.environ["PATH"]}, "folder": "/"}


@contextlib.contextmanager
def sleeping() -> Iterator[psutil.Process]:
    """A process that does nothing."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def until(reached: Any) -> None:
    """Look again and again; the machine may be busy."""
    deadline = time.monotonic() + 60.0
    while not reached():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def freeze(process: psutil.Process) -> dict[str, Any]:
    return {"kind": "process", "blow": "freeze", "pids": [process.pid], "start": "", **SHELL}


def is_frozen(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_STOPPED


def test_a_frozen_process_goes_on_when_it_is_undone() -> None:
    with sleeping() as process, running_injector() as injector:
        assert injector.begin("a", freeze(process)) is None
        until(lambda: is_frozen(process))
        assert injector.undo("a") is None
        until(lambda: not is_frozen(process))
        assert injector.undo("a") is None


def test_what_was_not_undone_by_an_order_is_undone_at_the_end() -> None:
    with sleeping() as process:
        with running_injector() as injector:
            injector.begin("a", freeze(process))
        assert not is_frozen(process)


def test_a_killed_process_is_started_again_by_its_command(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    with sleeping() as process, running_injector() as injector:
        action = {"kind": "process", "blow": "kill", "pids": [process.pid], "start": f"touch {mark}", **SHELL}
        assert injector.begin("a", action) is None
        until(lambda: process.status() == psutil.STATUS_ZOMBIE)
        assert not mark.exists()
        assert injector.undo("a") is None
        assert mark.exists()


def test_a_command_and_its_undoing_run_and_say_why_they_failed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with running_injector() as injector:
        assert injector.begin("a", {"kind": "command", "run": f"touch {mark}", "undo": f"rm {mark}", **SHELL}) is None
        assert mark.exists()
        assert injector.undo("a") is None
        assert not mark.exists()
        said = injector.begin("b", {"kind": "command", "run": "echo no luck; exit 3", "undo": f"touch {mark}", **SHELL})
        assert said == "a command ended with exit code 3: no luck"
        # What failed half way is undone at once.
        assert mark.exists()


@contextlib.contextmanager
def control() -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """A control endpoint, and what it was asked; a path /refused is refused."""
    seen: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.command, self.path, body))
            self.send_response(403 if self.path == "/refused" else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


def request(url: str, path: str, body: str = "") -> dict[str, Any]:
    return {
        "method": "POST",
        "url": f"{url}{path}",
        "shown": path,
        "body": body,
        "headers": [["Content-Type", "application/json"]] if body else [],
        "query": [],
        "socket": None,
        "verify": True,
    }


def test_a_control_endpoint_is_asked_to_break_and_to_repair() -> None:
    with control() as (url, seen), running_injector() as injector:
        action = {"kind": "request", "begin": request(url, "/break", '{"a": 1}'), "undo": request(url, "/repair")}
        assert injector.begin("a", action) is None
        assert injector.undo("a") is None
        assert seen == [("POST", "/break", b'{"a": 1}'), ("POST", "/repair", b"")]
        refused = {"kind": "request", "begin": request(url, "/refused"), "undo": None}
        assert injector.begin("b", refused) == "POST /refused was answered 403"


@pytest.mark.hostile("experiments")
@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"a" * 0x4000 + b"\r\n", ""),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "POST /x was not answered within 0.3 s"),
        (b"X", "POST /x"),
    ],
)
def test_a_control_endpoint_that_answers_without_end_holds_nothing_up(
    said: bytes, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "REQUEST_SECONDS", 0.3)

    async def answer(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.receive_some()
            await stream.send_all(said)
            while True:
                await stream.send_all(said.rpartition(b"\r\n\r\n")[2] or said)

    async def main() -> str:
        async with trio.open_nursery() as nursery:
            listener, *_ = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
            url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
            try:
                with trio.fail_after(60.0):
                    await actions.begin({"kind": "request", "begin": request(url, "/x"), "undo": None}, lambda _: None)
            except requests.ActionError as error:
                return str(error)
            finally:
                nursery.cancel_scope.cancel()
        return ""

    assert trio.run(main).startswith(becomes)


@pytest.mark.hostile("experiments")
def test_what_a_command_leaves_running_can_go_on_to_print(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with running_injector() as injector:
        # More than a pipe holds.
        order = {"kind": "command", "run": f"(head -c 300000 /dev/zero && touch {mark}) &", "undo": "", **SHELL}
        assert injector.begin("a", order) is None
        until(mark.exists)


def test_a_control_endpoint_that_is_not_there_is_a_reason() -> None:
    with running_injector() as injector:
        said = injector.begin("a", {"kind": "request", "begin": request("http://127.0.0.1:1", "/x"), "undo": None})
    assert said is not None
    assert said.startswith("POST /x failed: ")


def test_pressure_on_our_own_control_group_is_refused_with_a_sentence() -> None:
    with running_injector() as injector:
        said = injector.begin("a", {"kind": "pressure", "pid": os.getpid(), "cpu": 0.5, "memory": None})
    assert said is not None
    assert any(words in said for words in ("control group", "cgroup"))


def test_a_network_fault_is_begun_and_undone_like_any_other() -> None:
    fault = {"outage": "reset", "delay": 0.0, "jitter": 0.0, "bandwidth": None, "cut_after": None}
    with running_injector() as injector:
        injector.open_proxy("redis", "127.0.0.1", 1)
        assert injector.begin("a", {"kind": "network", "name": "redis", "fault": fault}) is None
        assert injector.undo("a") is None


_RUN = """
import json, signal, sys, time
from velro_gate.engine.faults.injector import running_injector
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
with running_injector() as injector:
    for key, action in json.loads(sys.argv[1]).items():
        assert injector.begin(key, action) is None
    print(injector.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_everything_is_undone_when_the_run_is_killed(ended_by: signal.Signals, tmp_path: Path) -> None:
    mark = tmp_path / "broken"
    with sleeping() as process:
        actions = {"a": {"kind": "command", "run": f"touch {mark}", "undo": f"rm {mark}", **SHELL}, "b": freeze(process)}
        environ = {**os.environ, "PYTHONPATH": "."}
        command = [sys.executable, "-c", _RUN, json.dumps(actions)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ) as run:
            assert run.stdout is not None
            run.stdout.readline()
            until(lambda: is_frozen(process))
            assert mark.exists()
            run.send_signal(ended_by)
            run.wait(timeout=60)
        until(lambda: not is_frozen(process))
        until(lambda: not mark.exists())


def test_sigterm_to_the_process_itself_undoes_everything(tmp_path: Path) -> None:
    with sleeping() as process, running_injector() as injector:
        injector.begin("a", freeze(process))
        until(lambda: is_frozen(process))
        os.kill(injector.pid, signal.SIGTERM)
        until(lambda: not is_frozen(process))


def test_a_number_that_went_to_another_process_is_left_alone() -> None:
    with sleeping() as first:
        pid = first.pid
    with running_injector() as injector:
        gone: dict[str, Any] = {"kind": "process", "blow": "freeze", "pids": [pid], "start": "", **SHELL}
        assert injector.begin("a", gone) is None


def test_pressure_lowers_the_limits_of_a_control_group_and_gives_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few machines let a test write real limits: here the kernel's files are plain ones.
    group = tmp_path / "service.slice"
    group.mkdir()
    (tmp_path / "cgroup.controllers").touch()
    limits = {"cpu.max": "max 100000", "memory.high": "max"}
    for name, text in limits.items():
        (group / name).write_text(text)
    monkeypatch.setattr(actions, "_GROUPS", tmp_path)
    monkeypatch.setattr(actions, "_name_of", lambda pid: "/gate.slice" if pid == "self" else "/service.slice")
    undone: list[actions.Undo] = []

    async def pressed() -> dict[str, str]:
        await actions.begin({"kind": "pressure", "pid": 1, "cpu": 0.5, "memory": 1 << 20}, undone.append)
        meanwhile = {name: (group / name).read_text() for name in limits}
        await undone[0]()
        return meanwhile

    assert trio.run(pressed) == {"cpu.max": "50000 100000", "memory.high": "1048576"}
    assert {name: (group / name).read_text() for name in limits} == limits
