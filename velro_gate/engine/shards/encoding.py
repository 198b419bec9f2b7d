"""What a shard says, as bytes that hold values only: to read them runs no code, whoever wrote them.

A message is the length of a JSON text, that text, and behind it the columns of samples and long rows of numbers as plain binary
numbers. It is read by the types of the fields: whatever else is there makes the message no message. What a run says to its
shards is pickled instead (``messages``): the run's own code is what a shard carries out.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from velro_gate import errors
from velro_gate.analysis.summaries.reduced.columns import REDUCED_COLUMNS, columns_of, reduced_from
from velro_gate.analysis.summaries.reduced.tables import Reduced
from velro_gate.engine.shards.messages import (
    Alive,
    Failed,
    Finished,
    LoadEnded,
    PhaseBegan,
    Ready,
    ReducedChunk,
    SampleChunk,
    Seen,
)
from velro_gate.errors import VelroError, words_of
from velro_gate.model.samples import COLUMNS, Outcome, Samples

_KINDS = (Alive, Failed, Finished, LoadEnded, PhaseBegan, Ready, ReducedChunk, SampleChunk, Seen)
_MESSAGES = {kind.__name__: kind for kind in _KINDS}
_ERRORS: dict[str, type[Exception]] = {
    name: kind
    for name, kind in vars(errors).items()
    # One with a constructor of its own travels as the class below it.
    if isinstance(kind, type) and issubclass(kind, VelroError) and (kind is VelroError or "__init__" not in vars(kind))
} | {"OSError": OSError, "MemoryError": MemoryError, "RuntimeError": RuntimeError}
_SIZE = struct.Struct("=I")
_ROW = sum(np.dtype(kind).itemsize for kind in COLUMNS.values())

_Read = Callable[[Any, "_Columns"], Any]


def packed_message(message: object) -> bytes:
    """A message of a shard as bytes."""
    columns: list[bytes] = []
    text = json.dumps([type(message).__name__, _plain(message, columns)]).encode()
    return b"".join((_SIZE.pack(len(text)), text, *columns))


def unpacked_message(data: bytes) -> object:
    """The message in bytes that ``packed_message`` has made.

    Raises:
        ValueError: it is not one.
    """
    try:
        (size,) = _SIZE.unpack_from(data)
        name, plain = json.loads(data[_SIZE.size : _SIZE.size + size], parse_constant=_refuse)
        columns = _Columns(data, _SIZE.size + size)
        message = _reader(_MESSAGES[name])(plain, columns)
        columns.end()
    except (ValueError, struct.error, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no shard says this ({words_of(error)})") from error
    return message


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


class _Columns:
    """The binary part of a message, read from its beginning to its end."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place

    def take(self, kind: Any, count: int) -> npt.NDArray[Any]:
        """The next numbers, as an array of their own."""
        # frombuffer refuses a count that is negative or more than there is, but reads everything for -1.
        if type(count) is not int or count < 0:
            raise ValueError("a column has no length")
        found = np.frombuffer(self._data, kind, count, self._place) if count else np.empty(0, kind)
        self._place += found.nbytes
        return found.copy()

    def end(self) -> None:
        """Nothing is left over."""
        if self._place != len(self._data):
            raise ValueError("there is more than the message")


# To plain values


def _plain(value: Any, columns: list[bytes]) -> Any:
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case Samples():
            columns += [np.ascontiguousarray(getattr(value, name), kind).tobytes() for name, kind in COLUMNS.items()]
            return len(value)
        case Reduced():
            found = dict(columns_of(value))
            columns += [np.ascontiguousarray(found[name], kind).tobytes() for name, kind in REDUCED_COLUMNS.items()]
            return [len(found[name]) for name in REDUCED_COLUMNS]
        case Mapping():
            return {key: _plain(each, columns) for key, each in value.items()}
        case tuple() if value and all(isinstance(each, int | float) for each in value):
            columns.append(np.array(value, np.float64).tobytes())
            return len(value)
        case tuple():
            return [_plain(each, columns) for each in value]
        case Exception():
            return _plain_error(value)
        case np.generic():
            return value.item()
    # In the order of the fields, without their names.
    return [_plain(getattr(value, each.name), columns) for each in fields(value)]


def _plain_error(error: Exception) -> list[Any]:
    """An error of ours as what it says; another one as its name and words, since it may hold anything."""
    if isinstance(error, VelroError):
        kind = next(each for each in type(error).__mro__ if _ERRORS.get(each.__name__) is each)
        return [kind.__name__, error.what, error.where, error.why, error.hint]
    if isinstance(error, OSError):
        return ["OSError", str(error.strerror or error), error.errno, None, None]
    if isinstance(error, MemoryError):
        return ["MemoryError", "", None, None, None]
    return ["RuntimeError", words_of(error), None, None, None]


# And back


@cache
def _reader(kind: Any) -> _Read:
    """What reads a value of this type, or raises one of the errors that ``unpacked_message`` expects."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in (str, bool, int, NoneType):
        return lambda plain, _: plain if type(plain) is kind else _no(kind)
    if kind is float:
        return lambda plain, _: _number(plain)
    if kind is Exception:
        return lambda plain, _: _error(*plain)
    if kind is Samples:
        return _samples
    if kind is Reduced:
        return _reduced
    if origin in (Union, UnionType):
        (other,) = [each for each in inner if each is not NoneType]
        read = _reader(other)
        return lambda plain, columns: None if plain is None else read(plain, columns)
    if origin is tuple:
        return _tuple_reader(inner)
    if origin is not None and issubclass(origin, Mapping):
        key, value = map(_reader, inner)
        return lambda plain, columns: {key(name, columns): value(each, columns) for name, each in plain.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda plain, _: kind(plain)
    assert isinstance(kind, type)
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    readers = [(each.name, _reader(hints[each.name])) for each in fields(kind)]
    return lambda plain, columns: kind(
        **{name: read(each, columns) for (name, read), each in zip(readers, _list(plain), strict=True)}
    )


def _tuple_reader(inner: tuple[Any, ...]) -> _Read:
    many = len(inner) == 2 and inner[1] is Ellipsis
    if all(each in (float, Ellipsis) for each in inner):

        def numbers(plain: Any, columns: _Columns) -> tuple[float, ...]:
            """The row of numbers that is next in the columns."""
            found = columns.take(np.float64, len(plain) if isinstance(plain, list) else plain)
            if not (many or len(found) == len(inner)) or not np.isfinite(found).all():
                raise ValueError("these are not the numbers that belong here")
            return tuple(found.tolist())

        return numbers
    if many:
        read = _reader(inner[0])
        return lambda plain, columns: tuple([read(each, columns) for each in _list(plain)])
    readers = [_reader(each) for each in inner]
    return lambda plain, columns: tuple([read(each, columns) for read, each in zip(readers, _list(plain), strict=True)])


def _no(kind: Any) -> NoReturn:
    raise ValueError(f"this is no {kind.__name__}")


def _list(plain: Any) -> list[Any]:
    return plain if isinstance(plain, list) else _no(list)


def _number(plain: Any) -> float:
    found = float(plain) if type(plain) in (int, float) else math.nan
    return found if math.isfinite(found) else _no(float)


def _samples(rows: Any, columns: _Columns) -> Samples:
    found = Samples(**{name: columns.take(kind, rows) for name, kind in COLUMNS.items()})
    times = all(np.isfinite(each).all() for each in (found.due, found.sent, found.done))
    if not times or (rows and int(found.outcome.max()) > max(Outcome)):
        raise ValueError("these are no samples")
    return found


def _reduced(sizes: Any, columns: _Columns) -> Reduced:
    found = {name: columns.take(kind, size) for (name, kind), size in zip(REDUCED_COLUMNS.items(), _list(sizes), strict=True)}
    return reduced_from(found.__getitem__)


def _error(name: str, what: str, second: Any, why: str | None, hint: str | None) -> Exception:
    kind = _ERRORS[name]
    if not all(isinstance(each, str | None) for each in (what, why, hint)):
        raise ValueError("this is no error")
    if kind is OSError:
        return OSError(second, what) if type(second) is int else OSError(what)
    if issubclass(kind, VelroError):
        return kind(what, where=second if isinstance(second, str) else None, why=why, hint=hint)
    return kind(what)
