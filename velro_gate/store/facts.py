"""The facts of a run as one columnar file: ``facts.npz``, an uncompressed zip of numpy arrays that ``numpy.load`` reads.

| member | type | what |
|---|---|---|
| ``at`` | float64 | of each reading: seconds since the start of the run |
| ``series`` | uint16 | of each reading: its place in ``names`` |
| ``value`` | float64 | of each reading, in base units |
| ``names`` | text | ``SOURCE.SERIES`` of each series |
| ``phases`` | uint8 | UTF-8 of JSON: the engine's facts on each phase, the cache layers, and the schema |

Equal facts make equal files. What a file claims of itself is not believed: it may come from a fork's own machine.
"""

from __future__ import annotations

import io
import re
import struct
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from velro_gate import bounded
from velro_gate.model.run import Reading, RunFacts
from velro_gate.secrecy import outgoing, outgoing_json
from velro_gate.store.codec import CodecError, decode_facts, encode_facts
from velro_gate.store.files import write_whole
from velro_gate.store.samples import HEADER
from velro_gate.units import format_count

FACTS = "facts.npz"
OLD_FACTS = "facts.json"
"""What earlier versions wrote; it is still read."""

# The earliest time that a ZIP archive can hold: the same facts give the same bytes, whenever they are written.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_KINDS = {"at": "<f8", "series": "<u2", "value": "<f8", "names": "", "phases": "|u1"}
_MOST_LETTERS = 400
"""Of a column of texts: numpy announces their length in the file, and a made one could ask for any amount of memory."""
_TEXT = re.compile("<U([1-9][0-9]{0,3})")
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


def packed_facts(facts: RunFacts) -> bytes:
    """The file's content.

    Raises:
        CodecError: a reading is NaN or infinite.
    """
    series: dict[tuple[str, str], int] = {}
    rows = [series.setdefault((reading.source, reading.name), len(series)) for reading in facts.readings]
    at, value = (np.array([getattr(each, name) for each in facts.readings], np.float64) for name in ("at", "value"))
    if not (bool(np.isfinite(at).all()) and bool(np.isfinite(value).all())):
        raise CodecError("a reading is not a finite number")
    if len(series) > np.iinfo(np.uint16).max:
        raise CodecError(f"{format_count(len(series))} series are too many for one file")
    names = np.array([outgoing(f"{source}.{name}") for source, name in series], np.str_)
    text = outgoing_json(encode_facts(replace(facts, readings=())))
    columns: dict[str, np.ndarray] = {
        "at": at,
        "series": np.array(rows, np.uint16),
        "value": value,
        "names": names,
        "phases": np.frombuffer(text.encode("utf-8", "backslashreplace"), np.uint8),
    }
    return _zipped(columns)


def unpacked_facts(content: bytes) -> RunFacts:
    """The facts in what ``packed_facts`` made.

    Raises:
        OtherSchemaError: another version's facts. CodecError: no facts at all, or broken ones.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as stored:
            columns = {name: _column(stored, name) for name in _KINDS}
        text = columns["phases"].tobytes().decode("utf-8")
        names = [str(name).partition(".") for name in columns["names"].tolist()]
    except _DAMAGED as error:
        raise CodecError(f"it is incomplete or damaged ({type(error).__name__}: {error})") from error
    facts = decode_facts(text)
    at, series, value = columns["at"], columns["series"], columns["value"]
    if not len(at) == len(series) == len(value) or (len(series) and int(series.max()) >= len(names)):
        raise CodecError("its readings are damaged: the columns do not fit each other")
    if not (bool(np.isfinite(at).all()) and bool(np.isfinite(value).all())):
        raise CodecError("its readings are damaged: one is not a finite number")
    rows = zip(at.tolist(), series.tolist(), value.tolist(), strict=True)
    readings = tuple(Reading(at=t, source=names[i][0], name=names[i][2], value=v) for t, i, v in rows)
    return replace(facts, readings=readings)


def sweep_facts(path: Path) -> None:
    """Mask whatever text lies in the file; one that cannot be read is removed, since nobody knows what lies in it.

    Raises:
        OutputError, StorageError: it cannot be written.
    """
    try:
        facts = unpacked_facts(bounded.read_bytes(path))
    except (CodecError, OSError):
        path.unlink()
        return
    write_whole(path, packed_facts(facts))


def _zipped(columns: dict[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, column in columns.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, column, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), member.getvalue())
    return content.getvalue()


def _column(stored: zipfile.ZipFile, name: str) -> np.ndarray:
    """One column, read without believing its header: that may claim more rows than any memory holds."""
    member = stored.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("a column is compressed, which none of ours is")
    whole = stored.read(member)
    # Read by hand: numpy takes a header for Python, and ends by the errors of its tokenizer.
    header = HEADER.match(whole)
    if header is None:
        raise ValueError("a column does not begin like one of ours")
    said = header["dtype"].decode()
    letters = None if _KINDS[name] else _TEXT.fullmatch(said)
    fits = said == _KINDS[name] if letters is None else int(letters[1]) <= _MOST_LETTERS
    if not fits:
        raise ValueError(f"the column {name} holds {said!r}")
    rows = np.frombuffer(whole, np.dtype(said), offset=header.end())
    if letters is not None and len(rows) and int(rows.view("<u4").max()) > sys.maxunicode:
        raise ValueError(f"the column {name} holds what is no character")
    if len(rows) != int(header["rows"]):
        raise ValueError(f"a column of {header['rows'].decode()} rows holds {format_count(len(rows))}")
    return rows
