"""nginx as the server under load: a configuration of its own in a temporary folder, plain and TLS, its counters apart."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import trustme

from benchmarks.ports import free_port
from benchmarks.processes import FailedError, Meter, started

BODY = '{"id":"0123456789abcdef","name":"one of seventy-nine bytes, no more","ok":true}'
UNIQUE = "/unique"
"""Answered with a header that is another one each time."""

_HERE = "127.0.0.1"
_CONFIGURATION = """
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections {connections}; multi_accept on; }}
http {{
    access_log off;
    server_tokens off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/json;
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    ssl_session_cache shared:sessions:16m;
    server {{
        listen {host}:{port} backlog=65535{reuseport};
        listen {host}:{tls_port} ssl backlog=65535{reuseport};
        add_header X-Cache HIT;
        add_header X-Cache-Layer memory;
        location / {{ return 200 '{body}'; }}
        location {unique} {{
            add_header X-Cache HIT;
            add_header X-Cache-Layer memory;
            add_header X-Request-Id $request_id;
            return 200 '{body}';
        }}
    }}
    server {{
        listen {host}:{status_port};
        location / {{ stub_status; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What nginx counted. at: seconds on this machine's monotonic clock at which the response was there."""

    at: float
    active: int
    requests: int


class Nginx:
    """A running server. Plain at ``url``, TLS with a certificate of its own at ``tls_url``."""

    def __init__(self, port: int, tls_port: int, status_port: int, meter: Meter, host: str = _HERE) -> None:
        self.url = f"http://{host}:{port}"
        self.tls_url = f"https://{host}:{tls_port}"
        self.meter = meter
        # Kept open: under full load a new connection would have to wait for its turn.
        self._status = HTTPConnection(host, status_port, timeout=30.0)

    def counters(self) -> Counters:
        """Connections and requests by now; asking is one of either."""
        self._status.request("GET", "/")
        text = self._status.getresponse().read().decode()
        at = time.monotonic()
        found = re.search(r"connections: (\d+)\D+\d+ +\d+ +(\d+)", text)
        if found is None:
            raise FailedError(f"nginx does not report its counters: {text}")
        return Counters(at=at, active=int(found[1]), requests=int(found[2]))

    def close(self) -> None:
        """Let go of the connection for counters."""
        self._status.close()


def nginx_binary() -> str:
    """Where nginx is.

    Raises:
        FailedError: it is not there; names the package that brings it.
    """
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        raise FailedError("nginx is not installed; the Debian package nginx-light brings it")
    return found


@contextlib.contextmanager
def nginx(*, core: int | None = None, workers: int = 1, host: str = _HERE) -> Iterator[Nginx]:
    """Run nginx until the block ends. core: where all its workers run; workers share the port with SO_REUSEPORT.
    host: its address.

    Raises:
        FailedError: it is not installed, or does not start.
    """
    binary = nginx_binary()
    descriptors = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 2**20)
    port, tls_port, status_port = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="velro-nginx-") as place:
        folder = Path(place)
        _write_certificate(folder)
        (folder / "nginx.conf").write_text(
            _CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "",
                workers=workers,
                descriptors=descriptors,
                connections=descriptors - 64,
                folder=folder,
                host=host,
                port=port,
                tls_port=tls_port,
                status_port=status_port,
                reuseport=" reuseport" if workers > 1 else "",
                unique=UNIQUE,
                body=BODY,
            ),
            encoding="utf-8",
        )
        with started([binary, "-e", "stderr", "-p", place, "-c", str(folder / "nginx.conf")], core=core) as running:
            server = Nginx(port, tls_port, status_port, running.meter, host)
            deadline = time.monotonic() + 10.0
            while True:
                try:
                    server.counters()
                    break
                except (OSError, HTTPException) as error:
                    server.close()
                    if running.process.poll() is not None or time.monotonic() > deadline:
                        raise FailedError(f"nginx does not start: {running.complaints()}") from error
                    time.sleep(0.05)
            try:
                yield server
            finally:
                server.close()


def _write_certificate(folder: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    for number, blob in enumerate(made.cert_chain_pems):
        blob.write_to_path(str(folder / "certificate.pem"), append=number > 0)
