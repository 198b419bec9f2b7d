"""A remote-write request says what the OpenMetrics text says, by the rules of its specification."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cramjam
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.report.examples import EXAMPLES
from velro_gate.report.formats.openmetrics import openmetrics
from velro_gate.report.formats.remote_write import remote_write, write_request

Series = tuple[list[tuple[str, str]], float, int]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Field numbers and contents of a protobuf message, read by the rules of its wire format."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
            yield tag >> 3, value
            continue
        length = 8
        if tag & 7 == 2:
            length, at = varint(data, at)
        yield tag >> 3, data[at : at + length]
        at += length


def series(data: bytes) -> Iterator[Series]:
    for number, one in fields(data):
        assert number == 1
        assert isinstance(one, bytes)
        parts = list(fields(one))
        labels = [dict(fields(part)) for kind, part in parts if kind == 1 and isinstance(part, bytes)]
        (sample,) = (dict(fields(part)) for kind, part in parts if kind == 2 and isinstance(part, bytes))
        value, at = sample[1], sample[2]
        assert isinstance(value, bytes)
        assert isinstance(at, int)
        yield [(_text(label[1]), _text(label[2])) for label in labels], struct.unpack("<d", value)[0], at


def _text(part: bytes | int) -> str:
    assert isinstance(part, bytes)
    return part.decode()


def test_a_request_holds_every_sample_of_the_text() -> None:
    text = openmetrics(*EXAMPLES["fail-both"]())
    found = {(tuple(labels), value) for labels, value, _ in series(write_request(text, 1_800_000_000_250))}
    wanted = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {"job": "velro-gate", "__name__": sample.name, **sample.labels}
            wanted.add((tuple(sorted(pair for pair in labels.items() if pair[1])), sample.value))
    assert found == wanted
    assert {at for _, _, at in series(write_request(text, 1_800_000_000_250))} == {1_800_000_000_250}


def test_the_body_is_one_block_of_snappy() -> None:
    text = openmetrics(*EXAMPLES["pass"]())
    assert bytes(cramjam.snappy.decompress_raw(remote_write(text, 1))) == write_request(text, 1)


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,20}", fullmatch=True).filter(lambda name: name not in ("le", "quantile"))
VALUES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters='\\"\n'), max_size=300)


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.floats(allow_nan=False), st.integers(0, 4_000_000_000_000))
def test_labels_are_sorted_and_single_and_never_empty(labels: dict[str, str], value: float, at: int) -> None:
    shown = ",".join(f'{name}="{text}"' for name, text in labels.items())
    number = "+Inf" if value == float("inf") else "-Inf" if value == float("-inf") else repr(value)
    ((found, read, when),) = series(write_request(f"# TYPE figure gauge\nfigure{{{shown}}} {number}\n# EOF\n", at))
    names = [name for name, _ in found]
    assert names == sorted(set(names))
    assert all(text for _, text in found)
    assert dict(found) == {name: text for name, text in {"job": "velro-gate", **labels, "__name__": "figure"}.items() if text}
    assert (read, when) == (value, at)
