"""Real servers for tests (Redis, PostgreSQL, nginx, Prometheus): on a free loopback port, in a temporary directory, stopped at
the end.

They are waited for by reading their own log up to the line that says they are ready: no polling, no sleeping. A missing binary
is an error that names the package to install, never a skip, so a part that lacks its server cannot look tested.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 10.0
ATTEMPTS = 3


class ServerError(RuntimeError):
    """A server that a test needs is missing or did not start; holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server. pid is its main process; directory holds its data and disappears with it."""

    url: str
    host: str
    port: int
    pid: int
    directory: Path


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[Server]:
    """A real Redis without persistence; options go to its command line (``"--maxmemory", "4mb"``)."""
    binary = _binary("redis-server", (), "redis-server")
    with _account_directory("redis") as (directory, account), contextlib.ExitStack() as stack:
        process, port = _start(
            stack,
            lambda port: [
                *(
                    binary,
                    "--bind",
                    "127.0.0.1",
                    "--port",
                    str(port),
                    "--dir",
                    str(directory),
                    "--save",
                    "",
                ),
                *("--appendonly", "no", "--daemonize", "no", *options),
            ],
            ready="Ready to accept connections",
            directory=directory,
            account=account,
            stop=signal.SIGTERM,
        )
        yield Server(
            url=f"redis://127.0.0.1:{port}/0",
            host="127.0.0.1",
            port=port,
            pid=process.pid,
            directory=directory,
        )


@contextlib.contextmanager
def postgres_server(*, max_connections: int = 250, options: Sequence[str] = ()) -> Iterator[Server]:
    """A real PostgreSQL with the superuser ``velro`` (no password) and the database ``postgres``.

    options are settings such as ``"log_statement=all"``. Durability is off: the data lives as long as the test.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    initdb = _binary("initdb", folders, "postgresql")
    postgres = _binary("postgres", folders, "postgresql")
    with _account_directory("postgres") as (directory, account):
        data = directory / "data"
        _run(
            [
                initdb,
                "-D",
                str(data),
                "-U",
                "velro",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
            ],
            directory,
            account,
        )
        settings = [
            f"max_connections={max_connections}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={directory}",
            *(
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                "logging_collector=off",
            ),
            *options,
        ]
        flags = [part for setting in settings for part in ("-c", setting)]
        with contextlib.ExitStack() as stack:
            process, port = _start(
                stack,
                lambda port: [postgres, "-D", str(data), "-p", str(port), *flags],
                ready="database system is ready to accept connections",
                directory=directory,
                account=account,
                stop=signal.SIGINT,  # "fast": end the sessions and leave, without waiting for clients
            )
            url = f"postgresql://velro@127.0.0.1:{port}/postgres"
            yield Server(
                url=url,
                host="127.0.0.1",
                port=port,
                pid=process.pid,
                directory=directory,
            )


@contextlib.contextmanager
def nginx_server(server: str, *, files: Mapping[str, str] | None = None, options: str = "") -> Iterator[Server]:
    """A real nginx. server: the inside of its ``server`` block, in which ``{port}`` and ``{directory}`` are filled in.

    files are written beside it first, by name; options follow ``listen`` (``"ssl"``).
    """
    binary = _binary("nginx", [Path("/usr/sbin")], "nginx-light")
    with _account_directory("www-data") as (directory, account), contextlib.ExitStack() as stack:
        for name, text in (files or {}).items():
            (directory / name).write_text(text, encoding="utf-8")

        def command(port: int) -> list[str]:
            inside = server.replace("{port}", str(port)).replace("{directory}", str(directory))
            text = _NGINX.replace("{directory}", str(directory)) % (port, options, inside)
            (directory / "nginx.conf").write_text(text, encoding="utf-8")
            return [binary, "-p", str(directory), "-c", str(directory / "nginx.conf")]

        process, port = _start(
            stack, command, ready="start worker processes", directory=directory, account=account, stop=signal.SIGTERM
        )
        scheme = "https" if "ssl" in options else "http"
        yield Server(url=f"{scheme}://127.0.0.1:{port}", host="127.0.0.1", port=port, pid=process.pid, directory=directory)


@contextlib.contextmanager
def pushgateway() -> Iterator[Server]:
    """A real Prometheus Pushgateway."""
    binary = _binary("prometheus-pushgateway", [], "prometheus-pushgateway")
    with _account_directory("nobody") as (directory, account), contextlib.ExitStack() as stack:
        process, port = _start(
            stack,
            lambda port: [binary, f"--web.listen-address=127.0.0.1:{port}"],
            ready="TLS is disabled",
            directory=directory,
            account=account,
            stop=signal.SIGTERM,
        )
        yield Server(url=f"http://127.0.0.1:{port}", host="127.0.0.1", port=port, pid=process.pid, directory=directory)


@contextlib.contextmanager
def prometheus(scraped: str = "", *options: str) -> Iterator[Server]:
    """A real Prometheus that reads the metrics page at this ``host:port`` once a second, or none. options: of its command."""
    binary = _binary("prometheus", [], "prometheus")
    with _account_directory("nobody") as (directory, account), contextlib.ExitStack() as stack:
        page = f"{{job_name: page, scrape_interval: 1s, static_configs: [{{targets: ['{scraped}']}}]}}" if scraped else ""
        config = f"scrape_configs: [{page}]"
        (directory / "prometheus.yml").write_text(config, encoding="utf-8")

        def command(port: int) -> list[str]:
            places = (f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data")
            return [binary, *places, *options, f"--web.listen-address=127.0.0.1:{port}"]

        process, port = _start(
            stack, command, ready="ready to receive web requests", directory=directory, account=account, stop=signal.SIGTERM
        )
        yield Server(url=f"http://127.0.0.1:{port}", host="127.0.0.1", port=port, pid=process.pid, directory=directory)


def promtool_check(metrics: str) -> str:
    """What promtool says of a page of metrics in the text format; empty: nothing is wrong."""
    binary = _binary("promtool", [], "prometheus")
    done = subprocess.run([binary, "check", "metrics"], input=metrics, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


_NGINX = """
daemon off;
error_log stderr notice;
pid {directory}/nginx.pid;
events { worker_connections 512; }
http {
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    log_format seen '$remote_addr $status $request_method $uri $ssl_session_reused';
    access_log {directory}/access.log seen;
    keepalive_requests 5;
    server {
        listen 127.0.0.1:%d %s;
        %s
    }
}
"""


def _binary(name: str, folders: Sequence[Path], package: str) -> str:
    search = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders), "/usr/local/bin", "/opt/homebrew/bin"])
    found = shutil.which(name, path=search)
    if found is None:
        raise ServerError(f"{name} is not installed: tests need it (for example 'apt-get install {package}')")
    return found


@contextlib.contextmanager
def _account_directory(name: str) -> Iterator[tuple[Path, str | None]]:
    """A temporary directory and the account that owns it: an unprivileged one when we are root (PostgreSQL refuses root)."""
    directory = Path(tempfile.mkdtemp(prefix=f"velro-{name}-"))
    account = None
    if os.geteuid() == 0:
        known = {entry.pw_name for entry in pwd.getpwall()}
        account = next(account for account in (name, "nobody") if account in known)
        shutil.chown(directory, account)
    try:
        yield directory, account
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(command: Sequence[str], directory: Path, account: str | None) -> None:
    done = subprocess.run(
        command,
        check=False,
        cwd=directory,
        env=_environment(),
        user=account,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    if done.returncode != 0:
        raise ServerError(f"{command[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")


def _environment() -> dict[str, str]:
    # The C locale keeps the "ready" line in the language we look for; PG* variables of the caller must not reach the server.
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "LANG": "C"}


def _start(
    stack: contextlib.ExitStack,
    command: Callable[[int], Sequence[str]],
    *,
    ready: str,
    directory: Path,
    account: str | None,
    stop: signal.Signals,
) -> tuple[subprocess.Popen[str], int]:
    """Start the server on a free port; another port when somebody took that one in between."""
    failure = ""
    for _ in range(ATTEMPTS):
        port = free_port()
        process = subprocess.Popen(
            command(port),
            cwd=directory,
            env=_environment(),
            user=account,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        log = _await_line(process, ready)
        # From here on the log is read and dropped, so that the server never blocks on a full pipe.
        reader = threading.Thread(target=_drop_rest, args=(process,), daemon=True)
        reader.start()
        stack.callback(_stop, process, stop, reader)
        if log is None:
            return process, port
        failure = log
    raise ServerError(f"the server did not become ready:\n{failure}")


def _await_line(process: subprocess.Popen[str], ready: str) -> str | None:
    """None once the line came; the log when the process ended (or was ended by the deadline) without it."""
    assert process.stdout is not None
    log: deque[str] = deque(maxlen=40)
    deadline = threading.Timer(START_SECONDS, process.kill)
    deadline.start()
    try:
        for line in process.stdout:
            log.append(line)
            if ready in line:
                return None
    finally:
        deadline.cancel()
    return "".join(log)


def _drop_rest(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        deque(process.stdout, maxlen=0)


def _stop(process: subprocess.Popen[str], stop: signal.Signals, reader: threading.Thread) -> None:
    if process.poll() is None:
        process.send_signal(stop)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    reader.join(STOP_SECONDS)
