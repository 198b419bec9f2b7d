"""What each tool says of its own run, read from what it prints. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WRK_MARK = "figures:"
"""Stands before the line that our script lets wrk print: its own text has no 95th percentile."""

RANKS = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A tool's own figures over its whole run. percentiles: seconds by rank. detail: what the errors were."""

    requests: int
    errors: int
    percentiles: Mapping[float, float]
    detail: str = ""


class UnreadableError(ValueError):
    """A tool printed something else than it should have."""


def read_wrk(output: str) -> Report:
    """wrk with our script, which prints its counters and percentiles as JSON; times are in microseconds."""
    found = re.search(rf"^{WRK_MARK} (.*)$", output, re.MULTILINE)
    if found is None:
        raise UnreadableError("wrk printed no figures")
    said = _object(found[1])
    kinds = ("connect", "read", "write", "status", "timeout")
    return Report(
        requests=said["requests"],
        errors=sum(said[kind] for kind in kinds),
        percentiles={rank: said[f"p{rank * 100:g}"] / 1e6 for rank in RANKS},
        detail=_detail({kind: said[kind] for kind in kinds}),
    )


def read_k6(summary: str) -> Report:
    """k6's own summary object, as its handleSummary gets it; times are in milliseconds."""
    metrics = _object(summary).get("metrics", {})
    try:
        requests = metrics["http_reqs"]["values"]["count"]
        # k6 counts a request as "passed" in http_req_failed when it failed.
        failed = metrics["http_req_failed"]["values"]["passes"]
        times = metrics["http_req_duration"]["values"]
        found = {0.5: times["med"] / 1e3, 0.95: times["p(95)"] / 1e3, 0.99: times["p(99)"] / 1e3}
    except KeyError as error:
        raise UnreadableError(f"k6's summary lacks {error}") from error
    dropped = int(metrics.get("dropped_iterations", {"values": {"count": 0}})["values"]["count"])
    return Report(
        requests=int(requests), errors=int(failed), percentiles=found, detail=_detail({"failed": failed, "dropped": dropped})
    )


def read_locust(output: str) -> Report:
    """Locust's ``--json``: a list of entries with a histogram of whole milliseconds each."""
    start = output.find("[")
    try:
        entries = json.loads(output[start:]) if start >= 0 else []
    except json.JSONDecodeError as error:
        raise UnreadableError(f"Locust printed no JSON: {error}") from error
    if not entries:
        raise UnreadableError("Locust printed no entry: it sent nothing")
    histogram: dict[float, int] = {}
    for entry in entries:
        for milliseconds, count in entry["response_times"].items():
            histogram[float(milliseconds)] = histogram.get(float(milliseconds), 0) + count
    failed = sum(entry["num_failures"] for entry in entries)
    return Report(
        requests=sum(entry["num_requests"] for entry in entries),
        errors=failed,
        percentiles={rank: quantile(histogram, rank) / 1e3 for rank in RANKS},
        detail=_detail({"failed": failed}),
    )


def read_hey(output: str) -> Report:
    """hey's text. Its percentiles have a tenth of a millisecond."""
    codes = {code: int(count) for code, count in re.findall(r"^\s*\[(\d{3})\]\s+(\d+) responses", output, re.MULTILINE)}
    if not codes:
        raise UnreadableError("hey printed no status codes: it got no response")
    _, _, faults = output.partition("Error distribution:")
    failed = {text.strip()[:60]: int(count) for count, text in re.findall(r"^\s*\[(\d+)\]\s+(.*)$", faults, re.MULTILINE)}
    failed |= {f"status {code}": count for code, count in codes.items() if not code.startswith("2")}
    times = {
        int(rank) / 100: float(seconds) for rank, seconds in re.findall(r"^\s*(\d+)%+ in ([\d.]+) secs", output, re.MULTILINE)
    }
    return Report(
        requests=sum(codes.values()),
        errors=sum(failed.values()),
        percentiles={rank: times[rank] for rank in RANKS if rank in times},
        detail=_detail(failed),
    )


def read_ours(output: str) -> Report:
    """The line of benchmarks.saturate: response times where the samples were kept."""
    said = _object(output.strip().rpartition("\n")[2])
    if "outcomes" not in said:
        raise UnreadableError("no outcomes")
    failed = {kind: count for kind, count in said["outcomes"].items() if kind not in ("ok", "cancelled")}
    failed |= {"missed": said["missed"], "blocked": said["blocked"]}
    return Report(
        requests=said["ok"],
        errors=sum(failed.values()),
        percentiles={rank: said[f"response_{rank:g}"] for rank in RANKS if f"response_{rank:g}" in said},
        detail=_detail(failed),
    )


def quantile(histogram: Mapping[float, int], rank: float) -> float:
    """The least value that at least this share of all lies at or below."""
    wanted, seen = rank * sum(histogram.values()), 0
    for value in sorted(histogram):
        seen += histogram[value]
        if seen >= wanted:
            return value
    raise ValueError("an empty histogram has no quantile")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"no JSON: {text[:80]!r}") from error
    if not isinstance(found, dict):
        raise UnreadableError(f"no JSON object: {text[:80]!r}")
    return found


def _detail(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
