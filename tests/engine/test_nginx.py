"""The same ways against a real nginx, which keeps its own log of what it has seen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.engine.authority import Authority
from tests.engine.runs import Ran, phase, running
from tests.servers import Server, nginx_server
from velro_gate.engine.client.preflight import preflight
from velro_gate.model.scenario import Body, Capture, ContainsCheck, OpenArrivals, Step, Target

SERVER = """
        gzip on;
        gzip_min_length 1;
        gzip_types application/json;
        default_type application/json;
        location /health { return 200 '{"status": "ok"}'; }
        location /old { return 302 /document; }
        location /document { return 200 '{"id": "seven", "rest": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}'; }
        location /up { return 200 '{"coding": "$http_transfer_encoding"}'; }
"""
TLS = """
        ssl_certificate {directory}/server.pem;
        ssl_certificate_key {directory}/server.key;
        ssl_session_cache shared:tests:1m;
"""
OLD = Step(
    name="old",
    method="GET",
    path="/old",
    probability=1.0,
    checks=(ContainsCheck(text='"rest"'),),
    captures=(Capture(name="id", source="json", path="$.id"),),
)
UP = Step(
    name="up",
    method="POST",
    path="/up",
    probability=1.0,
    body=Body(template="x" * 40_000, content_type="text/plain", chunked=True),
    checks=(ContainsCheck(text='"coding": "chunked"'),),
)


def ran(server: Server, *steps: Step, users: int = 4, url: str | None = None, **to: Any) -> tuple[Ran, list[list[str]]]:
    """A run, and the lines that nginx has logged of it."""
    log = server.directory / "access.log"

    async def main() -> Ran:
        assert (await preflight(Target(url=url or server.url, **to))).status == 200
        plan = phase(users=users, ramp=0.1, duration=0.5, arrivals=OpenArrivals(rate=100.0))
        return await running(url or server.url, plan, steps=steps, **to)

    before = len(log.read_text().splitlines()) if log.exists() else 0
    made = trio.run(main)
    # The first line is that of the health check.
    return made, [line.split() for line in log.read_text().splitlines()[before + 1 :]]


def test_plain_http_with_redirects_compression_and_chunks() -> None:
    with nginx_server(SERVER) as server:
        made, seen = ran(server, OLD, UP, follow_redirects=1, compression="gzip", source_addresses=("127.0.0.2", "127.0.0.3"))
    assert set(made.outcomes()) == {"OK"}
    run = made.run
    # A retry may have been seen twice: nginx closes after every fifth request.
    assert 0 <= len(seen) - run.delivered_total - run.redirects_followed <= run.retries
    assert run.reconnects > 0
    assert {line[0] for line in seen} == {"127.0.0.2", "127.0.0.3"}
    paths = Counter(line[3] for line in seen)
    assert paths["/old"] == run.redirects_followed
    assert set(paths) == {"/old", "/document", "/up"}


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_tls_with_an_own_authority_a_client_certificate_and_sessions_that_are_taken_up(tmp_path: Path, version: str) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.client()
    made_out = authority.ca.issue_cert("127.0.0.1")
    files = {
        "server.pem": made_out.cert_chain_pems[0].bytes().decode(),
        "server.key": made_out.private_key_pem.bytes().decode(),
        "authority.pem": authority.ca.cert_pem.bytes().decode(),
    }
    asks = f"{TLS} ssl_protocols {version}; ssl_verify_client on; ssl_client_certificate {{directory}}/authority.pem;"
    to = {"ca_file": authority.file(), "client_certificate": certificate, "client_key": key}
    with nginx_server(asks + SERVER, files=files, options="ssl") as server:
        made, seen = ran(server, OLD, follow_redirects=1, **to)
        assert set(made.outcomes()) == {"OK"}
        reused = Counter(line[4] if len(line) > 4 else "." for line in seen)
        assert made.run.sessions_reused > 0
        assert reused["r"] > 0
        assert made.run.connections_opened - made.run.sessions_reused <= 4


def test_a_unix_socket(tmp_path: Path) -> None:
    with nginx_server("listen unix:{directory}/service.sock;" + SERVER) as server:
        to = {"unix_socket": str(server.directory / "service.sock")}
        made, seen = ran(server, OLD, url="http://service.test", follow_redirects=1, **to)
    assert set(made.outcomes()) == {"OK"}
    assert {line[0] for line in seen} == {"unix:"}
