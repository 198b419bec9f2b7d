"""A run's figures as Prometheus remote-write 1.0 takes them: a protobuf ``WriteRequest`` in one block of snappy.

The message has four types and five fields, so it is written here; the specification is
https://prometheus.io/docs/specs/prw/remote_write_spec/. Its rules: a series has no empty label and no label twice, its labels
are sorted, and its name is the label ``__name__``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import cramjam
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from velro_gate.report.formats.openmetrics import JOB

HEADERS: Mapping[str, str] = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
"""What a request of version 1.0 has to say of itself."""

_DOUBLE, _BYTES = 1, 2
"""Wire types of protobuf; that of an integer is 0."""


def remote_write(openmetrics: str, at: int) -> bytes:
    """The body of one request: each sample of an OpenMetrics text, with this time (milliseconds since 1970).

    Raises:
        ValueError: it is not OpenMetrics.
    """
    return bytes(cramjam.snappy.compress_raw(write_request(openmetrics, at)))


def write_request(openmetrics: str, at: int) -> bytes:
    """The same, not compressed.

    Raises:
        ValueError: it is not OpenMetrics.
    """
    return b"".join(_bytes(1, _series(labels, value, at)) for labels, value in _samples(openmetrics))


def _samples(openmetrics: str) -> Iterator[tuple[Mapping[str, str], float]]:
    for family in text_string_to_metric_families(openmetrics):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            yield {"job": JOB, **sample.labels, "__name__": sample.name}, float(sample.value)


def _series(labels: Mapping[str, str], value: float, milliseconds: int) -> bytes:
    """One ``TimeSeries`` with one ``Sample``."""
    named = b"".join(_bytes(1, _label(name, labels[name])) for name in sorted(labels) if labels[name])
    sample = _tag(1, _DOUBLE) + struct.pack("<d", value) + _tag(2, 0) + _varint(milliseconds)
    return named + _bytes(2, sample)


def _label(name: str, value: str) -> bytes:
    return _bytes(1, name.encode()) + _bytes(2, value.encode())


def _bytes(field: int, content: bytes) -> bytes:
    return _tag(field, _BYTES) + _varint(len(content)) + content


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(value: int) -> bytes:
    """An integer of at least 0 in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*groups, value))
