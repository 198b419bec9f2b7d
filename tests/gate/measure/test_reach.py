"""A whole run, from the file to the record, on the less usual ways to a service: with two shards, against a real nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import tiny_scenario
from tests.engine.authority import Authority
from tests.gate.world import Spectator
from tests.servers import nginx_server
from velro_gate.engine.machine.limits import read_machine
from velro_gate.errors import InfeasibleError, UnreachableError
from velro_gate.gate.measure.dry_run import dry_run
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.model.record import PhaseSummary, RunRecord

SERVER = """
        default_type application/json;
        location /api/health { return 200 '{}'; }
        location /api/look { return 200 '{"allowed": true}'; }
        location /api/metrics { stub_status; }
"""


def setup_for(folder: Path, target: str) -> Setup:
    path = tiny_scenario(folder, duration="1 s")
    path.write_text(path.read_text().replace('{url: "${env.VELRO_API_URL}"}', target))
    return prepare(RunOptions(scenario=path, shards=2), {})


def measured(folder: Path, target: str) -> tuple[RunRecord, PhaseSummary]:
    record = run(setup_for(folder, target), make_results(folder / "out", "run"), Spectator().effects)
    (phase,) = record.phases
    assert record.complete
    assert phase.steps[0].counts.failed == 0
    return record, phase


def requests_of_the_load(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines() if " /api/look " in line]


def test_two_shards_over_a_unix_socket_and_a_base_path(tmp_path: Path) -> None:
    with nginx_server("listen unix:{directory}/service.sock;" + SERVER) as server:
        where = f'{{url: "http://service.test/api", unix_socket: "{server.directory}/service.sock", metrics: null}}'
        _, phase = measured(tmp_path, where)
        seen = requests_of_the_load(server.directory / "access.log")
    assert {line[0] for line in seen} == {"unix:"}
    assert phase.delivered_total <= len(seen)


def test_two_shards_over_tls_from_two_source_addresses(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.file()
    authority.client()
    own = authority.ca.issue_cert("127.0.0.1")
    files = {
        "server.pem": own.cert_chain_pems[0].bytes().decode(),
        "server.key": own.private_key_pem.bytes().decode(),
        "authority.pem": authority.ca.cert_pem.bytes().decode(),
    }
    asks = (
        "ssl_certificate {directory}/server.pem; ssl_certificate_key {directory}/server.key; "
        "ssl_verify_client on; ssl_client_certificate {directory}/authority.pem;"
    )
    with nginx_server(asks + SERVER, files=files, options="ssl") as server:
        way = "source_addresses: [127.0.0.2, 127.0.0.3], ca_file: authority.pem"
        shown = "client_certificate: client.pem, client_key: client.key"
        _, phase = measured(tmp_path, f'{{url: "{server.url}/api", metrics: null, {way}, {shown}}}')
        seen = requests_of_the_load(server.directory / "access.log")
        assert {line[0] for line in seen} == {"127.0.0.2", "127.0.0.3"}
        assert phase.tls_fault is None

        # Without its own authority the health check says what the load would meet.
        with pytest.raises(UnreachableError, match="certificate is not trusted"):
            measured(tmp_path, f'{{url: "{server.url}/api", metrics: null}}')


def test_the_dry_run_shows_the_way_and_refuses_an_address_that_is_not_ours(tmp_path: Path) -> None:
    setup = setup_for(tmp_path, '{url: "http://127.0.0.1:1", source_addresses: [127.0.0.2, 192.0.2.1]}')
    planned = dry_run(setup, read_machine(sources=setup.scenario.target.source_addresses), {})
    assert "against http://127.0.0.1:1 from 127.0.0.2, 192.0.2.1: nothing was sent" in planned.sentences()[0]
    assert isinstance(planned.refusal, InfeasibleError)
    assert "192.0.2.1 is not an address of this machine" in planned.refusal.what
    local = setup_for(tmp_path, '{url: "http://service.test", unix_socket: service.sock, metrics: null}')
    said = dry_run(local, read_machine(), {}).sentences()
    assert f"over {tmp_path / 'service.sock'}: nothing was sent" in said[0]
    assert "the service's processes" not in " ".join(said)
