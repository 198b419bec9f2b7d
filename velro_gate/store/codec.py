"""Records and facts as JSON text and back. Pure: text in, values out, no file.

Every text names its schema, has sorted keys, and holds no NaN or infinity in either direction: a figure that was not measured
is absent. Two packings keep files small: readings are rows under a list of series; a compact record (a baseline) leaves out
defaults, windows and details, keeps seven digits of a figure, and writes an estimate as ``[value, low, high, n]``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from velro_gate.model.bank import BANK_SCHEMA, BankedBlock, BankHead
from velro_gate.model.capacity import CAPACITY_SCHEMA, CapacityResult
from velro_gate.model.duet import DUET_SCHEMA, DuetRecord
from velro_gate.model.record import RECORD_SCHEMA, PhaseSummary, RunRecord
from velro_gate.model.run import RunFacts
from velro_gate.model.selftest import SELFTEST_SCHEMA, Selftest
from velro_gate.units import format_count, significant

T = TypeVar("T")

FACTS_SCHEMA = 1

_MOST_DIGITS = 40  # of a whole number in a text; a count of bytes or requests has some twenty at most
_DIGITS = 7  # of a baseline's figures; the least noise that is ever assumed is five in a thousand


class CodecError(ValueError):
    """The text is not what it should be; str() says why, in one sentence."""


class OtherSchemaError(CodecError):
    """The text was written by another version of velro-gate, whose records mean something else."""


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    """What packs and checks values of this kind. Made when it is first needed: no command needs more than two or three."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def encode_record(record: RunRecord, *, compact: bool = False) -> str:
    """A record as JSON text; compact: as a baseline is kept, without windows and with rounded figures.

    Raises:
        CodecError: a figure is NaN or infinite.
    """
    if not compact:
        return _text(_adapter(RunRecord).dump_python(record, mode="json"))
    lean = replace(record, phases=tuple(map(_lean, record.phases)))
    tree = _adapter(RunRecord).dump_python(lean, mode="json", exclude_defaults=True)
    # Whether it is there must not depend on the default of the version that reads it.
    tree["schema"] = record.schema
    for phase in tree["phases"]:
        phase["resources"] = _rounded(phase["resources"])
        phase["health"] = _rounded(phase["health"])
        for step in phase["steps"]:
            step["measurements"] = {name: _packed(figure) for name, figure in step["measurements"].items()}
    return _text(tree, compact=True)


def _lean(phase: PhaseSummary) -> PhaseSummary:
    """What nothing is compared with is left out."""
    steps = tuple(replace(step, layers=()) for step in phase.steps)
    return replace(phase, windows=(), failures=(), bottlenecks=(), warm_up=(), workers=(), steps=steps)


def decode_record(text: str) -> RunRecord:
    """The record in a text that ``encode_record`` made, compact or not.

    Raises:
        OtherSchemaError: another version's record. CodecError: no record at all, or a broken one.
    """
    tree = _tree(text, "run record", RECORD_SCHEMA)
    for phase in _mappings(tree.get("phases")):
        for step in _mappings(phase.get("steps")):
            figures = step.get("measurements")
            if isinstance(figures, dict):
                step["measurements"] = {name: _unpacked(figure) for name, figure in figures.items()}
    record = _validated(_adapter(RunRecord).validate_json, tree, "run record")
    try:
        datetime.fromisoformat(record.started_at)
        date.fromisoformat(record.started_at[:10])
    except ValueError as error:
        raise CodecError("it is not a whole run record: started_at: it is no time") from error
    return record


def record_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of record.json of this version. Compact records, which baselines are, pack figures."""
    schema = _adapter(RunRecord).json_schema(mode="serialization")
    properties = {**schema["properties"], "schema": {"const": RECORD_SCHEMA}}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "velro-gate run record"}
    return {**schema, **head, "properties": properties, "required": sorted({*schema.get("required", ()), "schema"})}


def encode_facts(facts: RunFacts) -> str:
    """The facts of a run as JSON text.

    Raises:
        CodecError: a reading is NaN or infinite.
    """
    tree = _adapter(RunFacts).dump_python(replace(facts, readings=()), mode="json")
    series: dict[tuple[str, str], int] = {}
    rows = [
        [series.setdefault((reading.source, reading.name), len(series)), reading.at, reading.value]
        for reading in facts.readings
    ]
    tree |= {"schema": FACTS_SCHEMA, "readings": {"series": list(series), "rows": rows}}
    return _text(tree, compact=True)


def decode_facts(text: str) -> RunFacts:
    """The facts in a text that ``encode_facts`` made.

    Raises:
        OtherSchemaError: another version's facts. CodecError: no facts at all, or broken ones.
    """
    tree = _tree(text, "facts file", FACTS_SCHEMA)
    del tree["schema"]
    try:
        packed = tree["readings"]
        series = [(source, name) for source, name in packed["series"]]
        tree["readings"] = [
            {"at": at, "source": series[i][0], "name": series[i][1], "value": value} for i, at, value in packed["rows"]
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CodecError(f"its readings are damaged ({type(error).__name__}: {error})") from error
    return _validated(_adapter(RunFacts).validate_json, tree, "facts file")


def encode_duet(kept: DuetRecord) -> str:
    """The pairs of a duet as JSON text.

    Raises:
        CodecError: a figure is NaN or infinite.
    """
    return _text(_adapter(DuetRecord).dump_python(kept, mode="json"), compact=True)


def decode_duet(text: str) -> DuetRecord:
    """The pairs in a text that ``encode_duet`` made.

    Raises:
        OtherSchemaError: another version's pairs. CodecError: no pairs at all, or broken ones.
    """
    tree = _tree(text, "record of a duet", DUET_SCHEMA)
    duet = tree.get("duet")
    for pair in _mappings(duet.get("pairs") if isinstance(duet, dict) else None):
        for block in (pair.get("base"), pair.get("head")):
            for doubt in _mappings(block.get("doubts") if isinstance(block, dict) else None):
                if "facts" not in doubt:
                    # Former versions kept the words alone.
                    doubt["facts"] = {name: doubt.pop(name) for name in ("code", "sentence", "advice") if name in doubt}
    return _validated(_adapter(DuetRecord).validate_json, tree, "record of a duet")


def encode_bank_head(head: BankHead) -> str:
    """The first line of a bank, its line break included."""
    return _text(_adapter(BankHead).dump_python(head, mode="json"), compact=True)


def decode_bank_head(line: str) -> BankHead:
    """What ``encode_bank_head`` made a line of.

    Raises:
        OtherSchemaError: another version's bank. CodecError: no bank at all, or a broken one.
    """
    return _validated(_adapter(BankHead).validate_json, _tree(line, "bank", BANK_SCHEMA), "head of a bank")


def encode_banked(block: BankedBlock) -> str:
    """A line of a bank, its line break included.

    Raises:
        CodecError: a figure is NaN or infinite.
    """
    tree = _adapter(BankedBlock).dump_python(block, mode="json")
    # A microsecond is finer than any clock of a service.
    tree["times"] = [round(seconds, 6) for seconds in tree["times"]]
    return _text(tree, compact=True)


def decode_banked(line: str) -> BankedBlock:
    """What ``encode_banked`` made a line of.

    Raises:
        OtherSchemaError: another version's block. CodecError: no block at all, or a broken one.
    """
    return _validated(_adapter(BankedBlock).validate_json, _tree(line, "block of a bank", BANK_SCHEMA), "block of a bank")


def encode_selftest(selftest: Selftest) -> str:
    """A selftest as JSON text.

    Raises:
        CodecError: a figure is NaN or infinite.
    """
    return _text(_adapter(Selftest).dump_python(selftest, mode="json"))


def decode_selftest(text: str) -> Selftest:
    """The selftest in a text that ``encode_selftest`` made.

    Raises:
        OtherSchemaError: another version's selftest. CodecError: no selftest at all, or a broken one.
    """
    return _validated(_adapter(Selftest).validate_json, _tree(text, "selftest", SELFTEST_SCHEMA), "selftest")


def encode_capacity(found: CapacityResult) -> str:
    """The result of a search for the capacity as JSON text.

    Raises:
        CodecError: a figure is NaN or infinite.
    """
    return _text(_adapter(CapacityResult).dump_python(found, mode="json"))


def decode_capacity(text: str) -> CapacityResult:
    """The result in a text that ``encode_capacity`` made.

    Raises:
        OtherSchemaError: another version's result. CodecError: no result at all, or a broken one.
    """
    return _validated(_adapter(CapacityResult).validate_json, _tree(text, "capacity", CAPACITY_SCHEMA), "capacity")


def _text(tree: object, *, compact: bool = False) -> str:
    try:
        if compact:
            return json.dumps(tree, sort_keys=True, allow_nan=False, separators=(",", ":"), ensure_ascii=False) + "\n"
        return json.dumps(tree, sort_keys=True, allow_nan=False, indent=1, ensure_ascii=False) + "\n"
    except ValueError as error:
        raise CodecError("a figure in it is not a finite number") from error


def _tree(text: str, kind: str, schema: int) -> dict[str, Any]:
    """The parsed text, once it is certain that this version can read it."""
    try:
        tree = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_countable)
    except json.JSONDecodeError as error:
        raise CodecError(f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise CodecError("it is not JSON that velro-gate wrote: it is nested too deeply") from error
    found = tree.get("schema") if isinstance(tree, dict) else None
    if not isinstance(found, int) or isinstance(found, bool):
        raise CodecError(f"it is not a {kind}: it names no schema")
    if found != schema:
        age = "a newer" if found > schema else "an older"
        raise OtherSchemaError(f"it was written by {age} velro-gate (schema {found}, this version reads {schema})")
    assert isinstance(tree, dict)
    return tree


def _refuse(constant: str) -> NoReturn:
    raise CodecError(f"it holds {constant}, which is not a measured figure")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise CodecError(f"it holds {text}, which is too large for a figure")
    return number


def _countable(text: str) -> int:
    # Python refuses endless digits by an error of its own, and a figure of hundreds of them would become infinite.
    if len(text) > _MOST_DIGITS:
        raise CodecError(f"it holds a number of {format_count(len(text))} digits, which is too large for a figure")
    return int(text)


def _validated(validate: Callable[..., T], tree: Mapping[str, Any], kind: str) -> T:
    try:
        # Half a character, which a service's JSON can hold, is written, and refused by the parser that checks: it becomes "?".
        return validate(json.dumps(tree, ensure_ascii=False).encode("utf-8", "replace"), strict=True)
    except RecursionError as error:
        raise CodecError(f"it is not a whole {kind}: it is nested too deeply") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the top"
        more = f" (and {error.error_count() - 1} more faults)" if error.error_count() > 1 else ""
        raise CodecError(f"it is not a whole {kind}: {place}: {first['msg']}{more}") from error


def _mappings(tree: object) -> list[dict[str, Any]]:
    return [item for item in tree if isinstance(item, dict)] if isinstance(tree, list) else []


def _packed(figure: Mapping[str, Any]) -> list[Any]:
    """``[value, n]`` when exact, else ``[value, low, high, n]``; how the interval was made is left out."""
    value, low, high = (_shortened(figure[name]) for name in ("value", "low", "high"))
    return [value, figure["n"]] if low == value == high else [value, low, high, figure["n"]]


def _unpacked(figure: object) -> object:
    """The mapping form of an estimate; anything else is left for the validation to name."""
    match figure:
        case [value, n]:
            return {"value": value, "low": value, "high": value, "n": n}
        case [value, low, high, n]:
            return {"value": value, "low": low, "high": high, "n": n}
        case _:
            return figure


def _rounded(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _rounded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_rounded(value) for value in tree]
    return _shortened(tree) if isinstance(tree, float) else tree


def _shortened(number: float) -> float:
    # Rounding keeps the order, so an interval still holds its value.
    return significant(number, _DIGITS)
