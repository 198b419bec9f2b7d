from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.reports import UnreadableError, quantile, read_hey, read_k6, read_locust, read_ours, read_wrk

WRK = """Running 30m test @ http://127.0.0.1:8080/
  1 threads and 100 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.96ms    2.94ms  16.92ms   82.74%
  247282 requests in 6.96s, 62.02MB read
  Socket errors: connect 0, read 3, write 0, timeout 2
figures: {"requests":247282,"p50":1136.0,"p95":8903.0,"p99":12021.0,"connect":0,"read":3,"write":0,"status":1,"timeout":2}
"""

HEY = """
Summary:
  Total:	6.9868 secs
  Requests/sec:	29623.0027

Latency distribution:
  10% in 0.0011 secs
  50% in 0.0031 secs
  95% in 0.0072 secs
  99% in 0.0099 secs

Status code distribution:
  [200]	206971 responses
  [503]	4 responses

Error distribution:
  [12]	Get "http://127.0.0.1:8080/": dial tcp 127.0.0.1:8080: connect: cannot assign requested address
"""


def k6(**more: object) -> str:
    metrics: dict[str, object] = {
        "http_reqs": {"values": {"count": 83418}},
        "http_req_failed": {"values": {"rate": 0.0, "passes": 7, "fails": 83411}},
        "http_req_duration": {"values": {"med": 6.5, "p(95)": 24.0, "p(99)": 37.0}},
        **more,
    }
    return json.dumps({"metrics": metrics})


def test_wrk_is_read_in_seconds_with_every_kind_of_error() -> None:
    report = read_wrk(WRK)
    assert report.requests == 247_282
    assert report.errors == 6
    assert report.percentiles == {0.5: 0.001136, 0.95: 0.008903, 0.99: 0.012021}
    assert report.detail == "3 read, 1 status, 2 timeout"


def test_k6_counts_a_failed_request_as_passed_and_is_read_right_all_the_same() -> None:
    report = read_k6(k6())
    assert (report.requests, report.errors) == (83_418, 7)
    assert report.percentiles == {0.5: 0.0065, 0.95: 0.024, 0.99: 0.037}


def test_iterations_that_k6_dropped_are_reported() -> None:
    assert "31 dropped" in read_k6(k6(dropped_iterations={"values": {"count": 31}})).detail


def test_the_entries_of_locust_are_put_together() -> None:
    entries = [
        {"num_requests": 90, "num_failures": 2, "response_times": {"10": 50, "20": 40}},
        {"num_requests": 10, "num_failures": 0, "response_times": {"500": 10}},
    ]
    report = read_locust("a line of the log\n" + json.dumps(entries))
    assert (report.requests, report.errors) == (100, 2)
    assert report.percentiles == {0.5: 0.010, 0.95: 0.5, 0.99: 0.5}


def test_hey_is_read_with_its_statuses_and_errors() -> None:
    report = read_hey(HEY)
    assert (report.requests, report.errors) == (206_975, 16)
    assert report.percentiles == {0.5: 0.0031, 0.95: 0.0072, 0.99: 0.0099}
    assert "4 status 503" in report.detail


def test_of_ours_what_was_missed_is_an_error_and_what_was_cancelled_is_none() -> None:
    said = {"ok": 90, "outcomes": {"ok": 90, "timeout": 3, "cancelled": 5}, "missed": 2, "blocked": 0, "response_0.5": 0.001}
    report = read_ours("something before\n" + json.dumps(said) + "\n")
    assert (report.requests, report.errors) == (90, 5)
    assert report.percentiles == {0.5: 0.001}
    assert report.detail == "3 timeout, 2 missed"


@pytest.mark.parametrize("read", [read_wrk, read_k6, read_locust, read_hey, read_ours])
@pytest.mark.parametrize("text", ["", "no figures", "[]", "figures: {", "{}"])
def test_what_is_no_report_is_refused_and_never_read_as_nothing_wrong(read: object, text: str) -> None:
    with pytest.raises(UnreadableError):
        read(text)  # type: ignore[operator]


@given(st.lists(st.integers(min_value=0, max_value=50), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_of_a_histogram_is_the_least_value_with_enough_at_or_below_it(values: list[int], rank: float) -> None:
    found = quantile({value: values.count(value) for value in values}, rank)
    assert sum(value <= found for value in values) >= rank * len(values)
    assert sum(value < found for value in values) < rank * len(values)
