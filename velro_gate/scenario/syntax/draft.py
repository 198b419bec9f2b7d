"""Tree -> FileSpec, with every fault of shape reported, and with the rest kept so that its own faults are found in the same
pass.

What pydantic refuses is cut out at the smallest place whose absence raises no false alarm elsewhere, and the remainder is
validated again. So a mistyped duration does not hide an unknown step.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from velro_gate.scenario.syntax.faults import Faults, explain_fault
from velro_gate.scenario.syntax.shape import FileSpec
from velro_gate.scenario.syntax.tree import LinedDict, LinedList, LinedValue, as_written, holds, line_of

_MOST_ROUNDS = 12
"""Attempts to read what is left after the faulty parts were taken out: without them another part may be invalid."""
_STAND_INS: dict[str, object] = {
    "name": "draft",
    "steps": [{"name": "draft", "path": "/"}],
    "profiles": {"draft": [{"name": "draft", "users": 1, "duration": 1, "rate": 1}]},
}
"""What takes the place of a missing key at the top while the rest is checked; a draft with faults is never returned."""

_ALTERNATIVES = frozenset({"in full", "by metric", "str", "int", "float", "bool"})
"""What pydantic puts among the keys where a value may be of several kinds."""

_Path = tuple[str | int, ...]


def draft_of(root: LinedDict, faults: Faults) -> FileSpec | None:
    """The file's contents as far as their shape is right; None when too little is. Faults of shape are added."""
    remainder = _copy(root)
    assert isinstance(remainder, LinedDict)
    _texts_as_written(remainder)
    for attempt in range(_MOST_ROUNDS):
        seen: dict[int, type] = {}
        try:
            return FileSpec.model_validate(remainder, context=seen)
        except ValidationError as error:
            details = error.errors(include_url=False)
            if attempt == 0:
                for detail in details:
                    _report(detail, root=remainder, seen=seen, faults=faults)
            paths = [_existing(remainder, detail["loc"]) for detail in details]
            # From the end of the file, so that cutting an item leaves the numbers of the others as they are.
            for path in sorted({_cut(path) for path in paths if path}, key=_backwards):
                _remove(remainder, path)
            for key, stand_in in _STAND_INS.items():
                # A step of a journey written in Python is a label without a path.
                label = key == "steps" and "journey" in remainder
                remainder.setdefault(key, [{"name": "draft"}] if label else stand_in)
                remainder.lines.setdefault(key, 1)
    return None


def _texts_as_written(root: LinedDict) -> None:
    """What goes over the wire as text goes as it was written: a version 1.10 and a number +49151 keep their signs."""
    steps = root.get("steps")
    auth = root.get("auth")
    login = auth.get("login") if isinstance(auth, LinedDict) else None
    owners = [
        root,
        *(steps if isinstance(steps, LinedList) else []),
        login.get("step") if isinstance(login, LinedDict) else None,
    ]
    for owner in owners:
        if isinstance(owner, LinedDict):
            as_written(owner.get("headers"))
            as_written(owner.get("query"))
    for feeder in _mappings(root.get("feeders")):
        for column in _mappings(feeder.get("columns")):
            as_written(column.get("choice"))


def _mappings(value: LinedValue) -> list[LinedDict]:
    return [item for item in value.values() if isinstance(item, LinedDict)] if isinstance(value, LinedDict) else []


def _report(detail: object, *, root: LinedDict, seen: dict[int, type], faults: Faults) -> None:
    assert isinstance(detail, dict)
    place: _Path = detail["loc"]
    model = seen.get(id(_at(root, _existing(root, place[:-1]))))
    # Names of alternatives are the reader's own, and mean nothing to whoever wrote the file.
    exists = _existing(root, place)
    shown = tuple(part for part in place if part not in _ALTERNATIVES or part in exists)
    known = model.keys() if model is not None else []  # type: ignore[attr-defined]
    what, suggestion = explain_fault({**detail, "loc": shown}, known)
    faults.add(line_of(root, place), what, suggestion)


def _existing(root: LinedValue, place: Sequence[str | int]) -> _Path:
    """The parts of a pydantic location that exist in the tree; names of alternatives and missing keys fall out."""
    path: list[str | int] = []
    value = root
    for part in place:
        if holds(value, part):
            path.append(part)
            value = value[part]  # type: ignore[index]
    return tuple(path)


def _at(root: LinedValue, path: _Path) -> LinedValue:
    for part in path:
        root = root[part]  # type: ignore[index]
    return root


def _cut(path: _Path) -> _Path:
    """What to leave out because of a fault at ``path``."""
    if "experiments" in path and "expect" in path[:-1]:
        return path[: path.index("expect") + 2]
    for key in ("requirements", "limits", "experiments", "proxies"):
        if key in path[:-1]:
            return path[: path.index(key) + 2]
    match path:
        case ("profiles", _, "phases", _, *_):
            return path[:4]
        case ("profiles", _, int(), *_):
            return path[:3]
        case ("profiles" | "feeders", _, *_):
            return path[:2]
        case ("auth", *_):
            return path[:1]
        case _:
            return path


def _backwards(path: _Path) -> tuple[tuple[int, str], ...]:
    return tuple((-part, "") if isinstance(part, int) else (0, part) for part in path)


def _remove(root: LinedDict, path: _Path) -> None:
    owner = root
    for part in path[:-1]:
        if _existing(owner, [part]) != (part,):
            return
        owner = owner[part]  # type: ignore[assignment,index]
    if _existing(owner, path[-1:]):
        del owner.lines[path[-1]]  # type: ignore[arg-type]
        del owner[path[-1]]  # type: ignore[arg-type]


def _copy(value: LinedValue) -> LinedValue:
    if isinstance(value, LinedDict):
        mapping = LinedDict(value.line)
        mapping.update({key: _copy(item) for key, item in value.items()})
        mapping.lines = dict(value.lines)
        mapping.written = dict(value.written)
        return mapping
    if isinstance(value, LinedList):
        items = LinedList(value.line)
        items.extend(_copy(item) for item in value)
        items.lines = list(value.lines)
        items.written = dict(value.written)
        return items
    return value
