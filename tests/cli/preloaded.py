"""Runs commands in processes that need not import anything: a server that has imported everything forks one for each.

A forked process differs from a started one in what the kernel remembers of its start (``/proc/PID/environ``, ``cmdline``), and
in nothing else that the commands look at. Tests of just that start real processes (``command.command``).
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import velro_gate
from tests.steal import ignore_steal
from velro_gate.cli import main
from velro_gate.hardening import harden

LINE = 1 << 20


class TookTooLongError(Exception):
    """The command did not end in time, and was killed."""


def run(arguments: list[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of one command."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, socket.socket(socket.AF_UNIX) as asking:
        asking.connect(_server())
        request = json.dumps({"arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode()
        fds = array.array("i", [out.fileno(), err.fileno()])
        asking.sendmsg([len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        asking.sendall(request)
        asking.settimeout(timeout)
        try:
            answer = asking.recv(64)
        except TimeoutError:
            raise TookTooLongError(f"{arguments} took more than {timeout} s") from None
        out.seek(0)
        err.seek(0)
        return int(answer), out.read().decode(), err.read().decode()


@lru_cache(maxsize=1)
def _server() -> str:
    """The address of this test process's own server, which ends with it."""
    folder = tempfile.mkdtemp(prefix="velro-preloaded-")
    place = f"{folder}/socket"
    root = Path(__file__).resolve().parents[2]
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.preloaded", place],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    atexit.register(server.kill)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n", "the server of preloaded commands did not start"
    return place


def serve(place: str) -> None:
    """Answer requests until the test process is gone, each in a process of its own."""
    for found in pkgutil.walk_packages(velro_gate.__path__, "velro_gate."):
        # Others are started as processes of their own.
        if not found.name.startswith("velro_gate.sandbox.") and not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
    ignore_steal()
    _warm_up()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen(8)
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _watch(connection)
            connection.close()


def _warm_up() -> None:
    """What each command would compile again: templates, the shapes of files."""
    from tests.gate.jobs import short
    from velro_gate.analysis.verdict.judge import judge
    from velro_gate.model.run import RunFacts
    from velro_gate.report.formats.registry import FORMATS
    from velro_gate.store.codec import decode_facts, decode_record, encode_facts, encode_record

    run = short()
    verdict = judge(run, ())
    for each in FORMATS.values():
        each.render(run, verdict)
    decode_record(encode_record(run))
    decode_facts(encode_facts(RunFacts(phases=(), readings=(), layers=())))


def _watch(connection: socket.socket) -> NoReturn:
    """Receive one request, fork its command, say how it ended; kill it when nobody waits for it any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, sent, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(8))
    fds = array.array("i")
    for level, kind, data in sent:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data)
    request, size = b"", int.from_bytes(head, "big")
    while len(request) < size:
        request += connection.recv(LINE)
    command = os.fork()
    if command == 0:
        connection.close()
        _become(json.loads(request), *fds)
    command_fd = os.pidfd_open(command)
    closed = os.fork()
    if closed == 0:
        # Whoever asked is gone, or has its answer; then there is nothing left to kill.
        connection.recv(1)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(command_fd, signal.SIGKILL)
        os._exit(0)
    _, status = os.waitpid(command, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os.kill(closed, signal.SIGKILL)
    os._exit(0)


def _become(request: Any, out: int, err: int) -> NoReturn:
    """Be the process of that command."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, fd in ((0, null), (1, out), (2, err)):
        os.dup2(fd, number)
    os.closerange(3, 256)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, encoding="utf-8") for number, mode in enumerate("rww"))
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["velro-gate", *request["arguments"]]
    sys.path[0] = request["cwd"]
    code = 70
    try:
        # As ``python -m velro_gate`` does.
        harden()
        main(request["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            code = code or 1
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
