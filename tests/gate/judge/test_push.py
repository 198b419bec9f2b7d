"""Figures reach a real Pushgateway and a real Prometheus as they are, and a push that fails changes no verdict."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as classic_families
from prometheus_client.samples import Sample

from tests.github.clients import Standing
from tests.report.examples import EXAMPLES
from tests.report.hostile import hostile
from tests.servers import prometheus, promtool_check, pushgateway
from velro_gate.errors import PublishError, RecordError, UsageError
from velro_gate.gate.judge.push import Pushgateway, kept_figures
from velro_gate.github.delivery import TRIES
from velro_gate.report.formats.openmetrics import classic, group_path, openmetrics
from velro_gate.store.codec import encode_record
from velro_gate.store.records import RECORD

Key = tuple[str, tuple[tuple[str, str], ...]]


def kept(folder: Path, name: str = "fail-both") -> Path:
    """A run with its record and its OpenMetrics text."""
    record, verdict = EXAMPLES[name]()
    (folder / RECORD).write_text(encode_record(record), encoding="utf-8")
    (folder / "openmetrics.txt").write_text(openmetrics(record, verdict), encoding="utf-8")
    return folder


def by_labels(samples: Iterable[Sample]) -> dict[Key, float]:
    own = ("job", "instance")
    return {(one.name, tuple(sorted((k, v) for k, v in one.labels.items() if k not in own))): one.value for one in samples}


def of_run(text: str) -> dict[Key, float]:
    return by_labels(sample for family in text_string_to_metric_families(text) for sample in family.samples)


def kept_by(gateway: str) -> dict[Key, float]:
    page = httpx.get(f"{gateway}/metrics", trust_env=False).text
    found = by_labels(sample for family in classic_families(page) for sample in family.samples)
    return {key: value for key, value in found.items() if key[0].startswith("velro_gate_")}


def test_a_real_pushgateway_keeps_every_figure_and_the_next_push_replaces_them(tmp_path: Path) -> None:
    with pushgateway() as gateway:
        assert Pushgateway(url=gateway.url).push(kept_figures(kept(tmp_path))) == "127.0.0.1"
        assert kept_by(gateway.url) == of_run((tmp_path / "openmetrics.txt").read_text("utf-8"))
        Pushgateway(url=f"{gateway.url}/").push(kept_figures(kept(tmp_path, "pass")))
        assert kept_by(gateway.url) == of_run((tmp_path / "openmetrics.txt").read_text("utf-8"))


def test_a_real_prometheus_reads_the_openmetrics_text_whole() -> None:
    text = openmetrics(*EXAMPLES["fail-both"]())
    read = threading.Semaphore(0)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())
            read.release()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with prometheus(f"127.0.0.1:{server.server_port}") as reader:
            # When the page is read again, what came of the reading before is stored.
            assert all(read.acquire(timeout=60) for _ in range(2))
            asked = httpx.get(
                f"{reader.url}/api/v1/query", params={"query": '{job="page",__name__=~"velro_gate_.+"}'}, trust_env=False
            )
        server.shutdown()
    found = asked.json()["data"]["result"]
    stored = by_labels(Sample(one["metric"].pop("__name__"), one["metric"], float(one["value"][1])) for one in found)
    # Prometheus leaves out empty labels.
    expected = {(name, tuple(pair for pair in labels if pair[1])): value for (name, labels), value in of_run(text).items()}
    assert stored == pytest.approx(expected)


@pytest.mark.parametrize("name", ["pass", "fail-both", "broken", "duet-fail"])
def test_promtool_finds_nothing_wrong_with_what_is_pushed(name: str) -> None:
    assert promtool_check(classic(openmetrics(*EXAMPLES[name]()))) == ""


@pytest.mark.hostile("texts")
def test_promtool_finds_nothing_wrong_with_hostile_names_either() -> None:
    assert promtool_check(classic(openmetrics(*hostile().made))) == ""


def answering(*statuses: int) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    waiting, seen = list(statuses), list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(waiting.pop(0))

    return httpx.MockTransport(answer), seen


def test_a_server_that_fails_is_tried_again_and_a_refusal_is_not(tmp_path: Path) -> None:
    transport, seen = answering(503, 502, 200)
    Pushgateway(url="https://push.example/base", token="t0ken", clock=Standing().clock, transport=transport).push(
        kept_figures(kept(tmp_path))
    )
    assert [request.method for request in seen] == ["PUT"] * 3
    assert seen[0].headers["Authorization"] == "Bearer t0ken"
    assert seen[0].url.path.startswith("/base/metrics/job/velro-gate/scenario@base64/")
    transport, seen = answering(400)
    with pytest.raises(PublishError):
        Pushgateway(url="https://push.example", clock=Standing().clock, transport=transport).push(kept_figures(tmp_path))
    assert len(seen) == 1


def test_a_push_that_fails_for_good_shows_neither_password_nor_path(tmp_path: Path) -> None:
    transport, seen = answering(*[500] * TRIES)
    gateway = Pushgateway(url="https://me:pass-word@push.example/s3cret", clock=Standing().clock, transport=transport)
    with pytest.raises(PublishError) as caught:
        gateway.push(kept_figures(kept(tmp_path)))
    assert (len(seen), caught.value.exit_code) == (TRIES, 5)
    assert "push.example" in str(caught.value)
    assert not [secret for secret in ("pass-word", "s3cret") if secret in str(caught.value) + repr(gateway)]


@pytest.mark.parametrize("url", ["push.example:9091", "ftp://push.example", "http://", "http://push.example/?a=b", "http://[1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="the address of the Pushgateway cannot be used"):
        Pushgateway(url=url)


def test_a_text_that_is_no_openmetrics_is_an_error_in_words(tmp_path: Path) -> None:
    (kept(tmp_path) / "openmetrics.txt").write_text("a{b=", encoding="utf-8")
    with pytest.raises(RecordError, match="cannot be read"):
        Pushgateway(url="http://push.example").push(kept_figures(tmp_path))


def test_scenarios_with_any_name_have_a_group_each() -> None:
    assert group_path("a/b", "") == "/metrics/job/velro-gate/scenario@base64/YS9i/profile@base64/="
