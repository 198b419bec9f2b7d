"""The live page: on loopback, for whoever has its address, with what the run's loop gave it, and gone with the run."""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.devtools import Browser
from tests.report.hostile import NAME
from velro_gate.cli.help import with_port
from velro_gate.cli.live import MOST_CONNECTIONS, live_page
from velro_gate.errors import UsageError
from velro_gate.model.run import Progress, Stage
from velro_gate.report.charts import live
from velro_gate.report.charts.live import LiveRows, RowsSince
from velro_gate.secrecy import forget, hide

PROGRESS = Progress(
    phase="steady",
    phase_number=1,
    phase_count=2,
    stage=Stage.MEASURE,
    users=50,
    connected=48,
    rate=99.5,
    offered_rate=100.0,
    p50=0.010,
    p95=0.025,
    p99=None,
    errors=3,
    error_rate=0.01,
    hit_rate=0.95,
    lateness_p99=0.001,
    elapsed=5.0,
    remaining=55.0,
    steps=(("login", 0.02),),
    layers=(("memory", 0.7),),
)


@contextmanager
def served() -> Iterator[tuple[str, Callable[[Progress], None]]]:
    said: list[str] = []
    with live_page(0, "Load from here", said.append) as follow:
        yield said[0].removeprefix("live page: "), follow


def test_the_page_and_what_is_new_are_served_to_whoever_has_the_address() -> None:
    with served() as (url, follow):
        page = httpx.get(url)
        assert page.status_code == 200
        assert "Load from here" in page.text
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        follow(PROGRESS)
        first = httpx.get(f"{url}data?from=0").json()
        assert first["next"] == 1
        assert first["rows"][0]["figures"]["p95"] == 25.0
        assert first["rows"][0]["figures"]["p99"] is None
        assert first["rows"][0]["steps"] == {"login": 20.0}
        assert httpx.get(f"{url}data?from=1").json() == {"next": 1, "more": False, "rows": []}


@pytest.mark.parametrize("number", ["-1", "x", "9" * 30, "1e9", "٣"])
def test_a_senseless_number_gives_everything_that_is_kept(number: str) -> None:
    with served() as (url, follow):
        follow(PROGRESS)
        assert len(httpx.get(f"{url}data", params={"from": number}).json()["rows"]) == 1


def test_without_the_token_or_by_another_name_there_is_nothing() -> None:
    with served() as (url, _):
        base = url.split("/")[2]
        for wrong in (f"http://{base}/", f"http://{base}/data", url[:-2] + "/", f"{url}../", f"{url}other"):
            assert httpx.get(wrong).status_code == 404
        assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 404
        assert httpx.post(url).status_code == 501
        assert base.startswith("127.0.0.1:")


def test_every_run_has_a_token_of_its_own() -> None:
    with served() as (one, _), served() as (other, _):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", one)
        assert one.split("/")[3] != other.split("/")[3]


def test_the_page_ends_with_the_run_although_a_tab_is_open() -> None:
    before = threading.active_count()
    with httpx.Client() as tab:
        with served() as (url, _):
            assert tab.get(url).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(url)
        with pytest.raises(httpx.TransportError):
            tab.get(url)
    assert not [thread for thread in threading.enumerate() if thread.name == "live page"]
    assert threading.active_count() <= before + 1


def test_a_port_that_is_taken_is_refused_before_the_run() -> None:
    with served() as (url, _):
        port = int(url.split("/")[2].partition(":")[2])
        with pytest.raises(UsageError, match="live page cannot be served"), live_page(port, "", lambda _: None):
            pass


def test_a_long_run_keeps_its_newest_rows_and_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_ROWS", 10)
    rows = LiveRows()
    for second in range(25):
        rows.add(float(second), PROGRESS)
    found = rows.since(0)
    assert [json.loads(row)["at"] for row in found.rows] == [second * 1000.0 for second in range(15, 25)]
    assert (found.next, found.more) == (25, False)
    assert len(rows.since(24).rows) == 1
    assert rows.since(10**9) == RowsSince(rows=(), next=25, more=False)


def test_a_page_that_is_opened_late_gets_every_row_once_in_short_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_SENT", 4)
    with served() as (url, follow):
        for _ in range(10):
            follow(PROGRESS)
        sizes, number, more = [], 0, True
        while more:
            found = httpx.get(f"{url}data", params={"from": number}).json()
            number, more = found["next"], found["more"]
            sizes.append(len(found["rows"]))
    assert sizes == [4, 4, 2]
    assert number == 10


def test_a_secret_in_the_name_of_a_step_does_not_reach_the_page() -> None:
    hide(["s3cr3t-of-a-step"])
    try:
        with served() as (url, follow):
            follow(dataclasses.replace(PROGRESS, steps=(("s3cr3t-of-a-step", 0.02),)))
            assert httpx.get(f"{url}data").json()["rows"][0]["steps"] == {"***": 20.0}
    finally:
        forget()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--live"], ["--live", "0"]),
        (["--live", "8123", "x.yaml"], ["--live", "8123", "x.yaml"]),
        (["--live", "x.yaml"], ["--live", "0", "x.yaml"]),
        (["--live", "--verbose"], ["--live", "0", "--verbose"]),
        (["x.yaml"], ["x.yaml"]),
    ],
)
def test_live_takes_a_port_or_none(given: list[str], meant: list[str]) -> None:
    assert with_port(given) == meant


@pytest.mark.hostile("live page")
def test_connections_without_end_cost_the_run_a_few_and_the_page_is_back_when_they_go() -> None:
    before = threading.active_count()
    with served() as (url, _):
        port = int(url.split("/")[2].partition(":")[2])
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(MOST_CONNECTIONS)]
        for one in held:
            one.sendall(b"GET / HTTP/1.1\r\nX: ")
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as one_more:
            assert one_more.recv(1) == b""
        assert threading.active_count() <= before + 1 + MOST_CONNECTIONS
        for one in held:
            one.close()
        while _status(url) != 200:
            time.sleep(0.01)


def _status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.hostile("live page")
@pytest.mark.parametrize(
    "head",
    [
        "GET {path} HTTP/1.1\r\nHost: rebound.example\r\n",
        "GET {path} HTTP/1.1\r\n",
        "GET {path}data HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "GET {path}../{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n",
        "GET //[ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n",
        "OPTIONS {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: https://evil.example\r\n",
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n",
        "GET {path}\xff HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n",
    ],
)
def test_whoever_comes_by_another_name_or_way_gets_neither_page_nor_leave_to_read_it(head: str) -> None:
    with served() as (url, _):
        base, path = url.split("/")[2], "/" + url.split("/", 3)[3]
        with socket.create_connection(("127.0.0.1", int(base.partition(":")[2])), timeout=5.0) as one:
            one.sendall(head.format(path=path, port=base.partition(":")[2]).encode("latin-1") + b"Connection: close\r\n\r\n")
            answer = b""
            while some := one.recv(65536):
                answer += some
    assert b" 200 " not in answer.partition(b"\r\n")[0]
    assert b"Load from here" not in answer
    assert b"access-control" not in answer.lower()


@pytest.mark.slow
def test_charts_grow_with_the_run_in_a_browser_and_stay_when_it_is_over() -> None:
    plot = "Bokeh.documents[0].roots()[0]"
    rates = f"{plot}.renderers.find(one => one.visible && one.data_source.data.x?.length > 3)"
    with Browser() as browser:
        with served() as (url, follow):
            follow(dataclasses.replace(PROGRESS, phase=NAME))
            browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=800, deviceScaleFactor=1, mobile=False)
            browser.call("Page.navigate", url=url)
            browser.until("document.documentElement.dataset.charts === 'ready'")
            for step in range(5):
                follow(dataclasses.replace(PROGRESS, phase=NAME, rate=100.0 + step))
            browser.until(rates)
            browser.until("document.getElementById('state').textContent.includes('<script>alert(1)</script>')")
            # A phase that begins when the charts are drawn is marked as well.
            browser.until(f"{plot}.renderers.some(one => one.data_source.data.left?.length === 1)")
            follow(dataclasses.replace(PROGRESS, phase="later"))
            browser.until(f"{plot}.renderers.some(one => one.data_source.data.left?.length === 2)")
            assert browser.console == []
            assert {one.split("/")[2] for one in browser.requests if one.startswith("http")} == {url.split("/")[2]}
        browser.until("document.getElementById('state').textContent.startsWith('The run is over')")
        assert browser.value(f"Boolean({rates})")
