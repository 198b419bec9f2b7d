"""A journey's module, imported in a process of its own: what its code does on the way ends that process at the most.

``main(descriptor, order)`` runs in that process; what is wrong is written to the descriptor, as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from velro_gate.errors import words_of
from velro_gate.model.scenario import Journey
from velro_gate.scenario.syntax.faults import Faults, did_you_mean

MOST_REPORT = 32 * 1024
"""Bytes of the report: what a pipe takes without a reader."""


def _imported(journey: Journey, faults: Faults, line: int) -> ModuleType | None:
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(journey.module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{journey.module}.".startswith(f"{error.name}."):
            where = " or ".join(journey.folders)
            hint = did_you_mean(journey.module, _modules_in(journey.folders))
            faults.add(line, f"there is no module {error.name!r} in {where}", hint)
        else:
            _report(error, journey, faults, line)
        return None
    except SyntaxError as error:
        place = f"{error.filename}:{error.lineno}" if error.filename else faults.path
        faults.add_elsewhere(place, f"the journey cannot be read: {error.msg}", line=line)
        return None
    except BaseException as error:  # noqa: BLE001 - whatever the user's code raises is reported
        _report(error, journey, faults, line)
        return None
    found, expected = Path(module.__file__ or ""), source_of(journey)
    if not found.is_file() or (expected is not None and found.resolve() != expected.resolve()):
        what = f"the module {journey.module!r} is {module.__file__ or 'a part of Python'}, and not the journey's"
        faults.add(line, what, "give the journey's module a name of its own")
        return None
    return module


def source_of(journey: Journey) -> Path | None:
    """The file that the name stands for in the first folder that has one."""
    for folder in journey.folders:
        stem = Path(folder, *journey.module.split("."))
        for place in (stem / "__init__.py", stem.with_suffix(".py")):
            if place.is_file():
                return place
    return None


def _modules_in(folders: Sequence[str]) -> list[str]:
    """What may have been meant: modules in these folders, and in packages there."""
    found = []
    for folder in folders:
        for path in (*Path(folder).glob("*.py"), *Path(folder).glob("*/*.py")):
            found.append(".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"))
    return found


def _report(error: BaseException, journey: Journey, faults: Faults, line: int) -> None:
    """A fault at the line of the user's code that raised this; the innermost one that lies in the journey's folders."""
    place = faults.path + f":{line}"
    for frame in traceback.extract_tb(error.__traceback__):
        if any(Path(frame.filename).is_relative_to(folder) for folder in journey.folders):
            place = f"{frame.filename}:{frame.lineno}"
    said = words_of(error)
    faults.add_elsewhere(place, f"the journey cannot be imported: {said}", line=line)


def _is_journey(module: ModuleType, journey: Journey, faults: Faults, line: int) -> bool:
    function = getattr(module, journey.name, None)
    if function is None:
        known = [name for name, each in vars(module).items() if inspect.iscoroutinefunction(each)]
        hint = did_you_mean(journey.name, known) or f"write 'async def {journey.name}(user): ...' there"
        faults.add(line, f"{module.__file__} has no function {journey.name!r}", hint)
        return False
    if not inspect.iscoroutinefunction(function):
        faults.add_elsewhere(
            _place(function, module), f"{journey.name!r} is not an 'async def' function", "a journey awaits", line=line
        )
        return False
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        what = f"{journey.name}{inspect.signature(function)} cannot be called with one argument, the user"
        faults.add_elsewhere(_place(function, module), what, f"async def {journey.name}(user): ...", line=line)
        return False
    return True


def _place(function: object, module: ModuleType) -> str:
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return f"{module.__file__}:{code.co_firstlineno if code is not None else 1}"


def main(descriptor: str, order: str) -> None:
    """Import it, look at it, and report; then end at once, whatever threads it has started."""
    asked = json.loads(order)
    journey, line = Journey(function=asked["function"], folders=tuple(asked["folders"])), int(asked["line"])
    faults = Faults(asked["path"])
    # What it prints must not get into a document on our standard output.
    with contextlib.redirect_stdout(sys.stderr):
        module = _imported(journey, faults, line)
        good = module is not None and _is_journey(module, journey, faults, line)
    report = {
        "file": module.__file__ if good and module is not None else None,
        "faults": [(fault.where, fault.what[:2_000], fault.suggestion) for fault in faults.all()],
    }
    os.write(int(descriptor), json.dumps(report).encode()[:MOST_REPORT])
    os._exit(0)
