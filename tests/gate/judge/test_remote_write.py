"""Figures reach a real Prometheus by remote-write as they are; what fails is tried again, said, and changes nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cramjam
import httpx
import pytest

from tests.gate.judge.test_push import Key, answering, kept, of_run
from tests.github.clients import Standing
from tests.report.examples import EXAMPLES
from tests.report.hostile import hostile
from tests.servers import Server, prometheus, pushgateway
from velro_gate import secrecy
from velro_gate.errors import PublishError, UsageError
from velro_gate.gate.judge.push import (
    PUSH_TOKEN,
    REMOTE_WRITE_TOKEN,
    Figures,
    Pushgateway,
    RemoteWrite,
    figures_to_push,
    kept_figures,
    push_all,
    push_targets,
)
from velro_gate.github.delivery import TRIES
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict

RECEIVER = "--web.enable-remote-write-receiver"
URL = "https://writer.example/s3cret/push?tenant=t3nant"


def stored(server: Server) -> dict[Key, float]:
    """What a Prometheus holds of us now, without empty labels, which it has no word for."""
    query = {"query": '{job="velro-gate"}'}
    found = httpx.get(f"{server.url}/api/v1/query", params=query, trust_env=False).json()["data"]["result"]
    samples = [(dict(one["metric"]), float(one["value"][1])) for one in found]
    return {
        (labels.pop("__name__"), tuple(sorted((k, v) for k, v in labels.items() if k != "job"))): value
        for labels, value in samples
    }


def expected(figures: Figures) -> dict[Key, float]:
    return {(name, tuple(pair for pair in labels if pair[1])): value for (name, labels), value in of_run(figures.text).items()}


def figures(name: str, judged: bool = True) -> Figures:
    made: tuple[RunRecord, Verdict] = EXAMPLES[name]()
    return figures_to_push(made[0], made[1] if judged else None)


@pytest.mark.hostile("texts")
def test_a_real_prometheus_holds_every_figure_that_was_written_hostile_names_as_well() -> None:
    with prometheus("", RECEIVER) as server:
        target = RemoteWrite(url=f"{server.url}/api/v1/write")
        assert target.push(figures("fail-both")) == "127.0.0.1"
        assert stored(server) == pytest.approx(expected(figures("fail-both")))
        odd = figures_to_push(*hostile().made)
        target.push(odd)
        assert stored(server) == pytest.approx(expected(figures("fail-both")) | expected(odd))
        with pytest.raises(PublishError) as refused:
            RemoteWrite(url=f"{server.url}/api/v1/none").push(odd)
        assert "status 404" in str(refused.value.lines())


def test_a_prometheus_that_takes_no_remote_write_is_named_with_the_option_that_makes_it() -> None:
    with prometheus() as server, pytest.raises(PublishError) as refused:
        RemoteWrite(url=f"{server.url}/api/v1/write").push(figures("pass"))
    assert RECEIVER in "\n".join(refused.value.lines())


def test_a_run_that_nobody_has_judged_is_pushed_without_verdict_score_and_requirements() -> None:
    judged, alone = (expected(figures("pass", judged)) for judged in (True, False))
    gone = {name for name, _ in judged.keys() - alone.keys()}
    assert gone == {"velro_gate_verdict", "velro_gate_requirement_met"} | (gone & {"velro_gate_compliance_score_ratio"})
    assert alone.items() <= judged.items()


def test_what_fails_is_written_again_with_the_same_samples_and_the_headers_of_the_specification() -> None:
    transport, seen = answering(500, 429, 507, 204)
    standing = Standing()
    RemoteWrite(url=URL, token="t0ken", clock=standing.clock, transport=transport).push(figures("pass"))
    assert len({request.content for request in seen}) == 1
    assert len(seen) == 4
    assert cramjam.snappy.decompress_raw(seen[0].content)
    wanted = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
        "Authorization": "Bearer t0ken",
    }
    assert {name: seen[0].headers[name] for name in wanted} == wanted
    assert seen[0].headers["User-Agent"].startswith("velro-gate/")
    assert standing.slept == sorted(standing.slept)
    assert len(standing.slept) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
def test_a_refusal_is_final_and_shows_the_host_alone(status: int) -> None:
    transport, seen = answering(status)
    with pytest.raises(PublishError) as caught:
        RemoteWrite(url=URL, token="t0ken", clock=Standing().clock, transport=transport).push(figures("pass"))
    text = "\n".join(caught.value.lines())
    assert len(seen) == 1
    assert f"status {status}" in text
    assert "writer.example" in text
    assert not [secret for secret in ("s3cret", "t3nant", "t0ken") if secret in text]


@pytest.mark.parametrize("url", ["writer.example/api/v1/write", "ftp://writer.example", "http://", "http://h/#a", "http://[1"])
def test_an_address_that_is_none_is_refused_before_the_load(url: str) -> None:
    with pytest.raises(UsageError, match="the address of the remote-write endpoint cannot be used"):
        push_targets(None, url, {})


@pytest.mark.parametrize("token", ["two words", "umlaut-ä", "line\nbreak"])
def test_a_token_that_is_none_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        push_targets(None, URL, {REMOTE_WRITE_TOKEN: token})
    assert token not in "\n".join(caught.value.lines())


def test_each_server_gets_its_own_token_and_the_secrets_are_masked() -> None:
    secrets = {PUSH_TOKEN: "gateway-t0ken\n", REMOTE_WRITE_TOKEN: "writer-t0ken"}
    gateway, writer = push_targets("http://push.example", "https://write.example/api/v1/write", secrets)
    assert isinstance(gateway, Pushgateway)
    assert isinstance(writer, RemoteWrite)
    assert (gateway.token, writer.token) == ("gateway-t0ken", "writer-t0ken")
    push_targets("http://me:pass%2Dw0rd@push.example", None, {})
    hidden = ("gateway-t0ken", "writer-t0ken", "pass-w0rd")
    assert not set(hidden) & set(secrecy.outgoing(" ".join(hidden)).split())
    with pytest.raises(UsageError, match="contradict"):
        push_targets("http://me:word@push.example", None, {PUSH_TOKEN: "t0ken"})


def test_of_two_servers_the_one_that_fails_is_said_and_the_other_gets_the_figures(tmp_path: Path) -> None:
    failing, seen = answering(*[503] * TRIES)
    said: list[str] = []
    with pushgateway() as server:
        targets = (RemoteWrite(url=URL, clock=Standing().clock, transport=failing), Pushgateway(url=server.url))
        push_all(kept_figures(kept(tmp_path)), targets, said.append)
    assert len(seen) == TRIES
    assert said[0].startswith("not pushed: ")
    assert said[-1] == "pushed to 127.0.0.1"


def test_a_secret_that_a_service_has_put_into_a_name_is_not_pushed() -> None:
    record, verdict = EXAMPLES["pass"]()
    branch = dataclasses.replace(record.revision, branch="s3cret-canary-8471")
    secrecy.hide(["s3cret-canary-8471"], certain=True)
    transport, seen = answering(204)
    figures = figures_to_push(dataclasses.replace(record, revision=branch), verdict)
    RemoteWrite(url=URL, clock=Standing().clock, transport=transport).push(figures)
    assert b"canary" not in bytes(cramjam.snappy.decompress_raw(seen[0].content))


def test_every_kind_of_run_can_be_pushed() -> None:
    for name in ("no-baseline", "broken", "duet-fail", "inconclusive"):
        transport, seen = answering(204)
        RemoteWrite(url=URL, clock=Standing().clock, transport=transport).push(figures(name))
        assert seen, name
