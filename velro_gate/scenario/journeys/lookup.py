"""``journey: package.module:function`` -> Journey: found, imported once to see that it can be, and its source hashed.

The module is looked up on Python's path, then next to the scenario file, then in the current folder. What the user's own
code raises while it is imported is reported with the line of that code. It is imported in a process of its own
(``check``): no code of a journey runs where the verdict is made.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from velro_gate.bounded import read_bytes
from velro_gate.leftovers import orphans_ended
from velro_gate.model.scenario import Journey
from velro_gate.scenario.journeys.check import MOST_REPORT, source_of
from velro_gate.scenario.syntax.faults import Faults
from velro_gate.units import format_number

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_SECONDS = 60.0
"""How long a journey's module may take to be imported."""
_STANDARD_ERROR = 2
"""The descriptor of this process's standard error."""
_CHECK = "import sys; from velro_gate.scenario.journeys.check import main; main(*sys.argv[1:])"
"""Not ``-m``: importing ``velro_gate.scenario`` imports that module already, so Python would print a warning at each start."""


def journey_from(text: str, folder: Path, faults: Faults, line: int, *, run_code: bool = True) -> Journey | None:
    """The journey; None when it has faults, which are added. Its folders stay on Python's path: the run needs them.

    run_code: import it. A process that holds a token must not run code that somebody proposes.
    """
    if not _NAME.fullmatch(text):
        faults.add(line, f"{text!r} does not name a journey", "write package.module:function")
        return None
    journey = Journey(function=text, folders=tuple(dict.fromkeys(str(each.resolve()) for each in (folder, Path()))))
    if not run_code:
        return _unread(journey, faults, line)
    sys.path.extend(place for place in journey.folders if place not in sys.path)
    with orphans_ended():
        report = _report(journey, faults, line)
    for where, what, suggestion in report.get("faults", ()):
        faults.add_elsewhere(where, what, suggestion, line=line)
    if not report.get("file"):
        return None
    source = read_bytes(Path(report["file"]))
    return Journey(function=text, folders=journey.folders, source=hashlib.sha256(source).hexdigest())


def _unread(journey: Journey, faults: Faults, line: int) -> Journey | None:
    """The journey with the digest of its source, of which nothing is run."""
    source = source_of(journey)
    if source is None:
        where = " or ".join(journey.folders)
        faults.add(line, f"there is no module {journey.module!r} in {where}", "keep the journey next to the scenario")
        return None
    digest = hashlib.sha256(read_bytes(source)).hexdigest()
    return Journey(function=journey.function, folders=journey.folders, source=digest)


def _report(journey: Journey, faults: Faults, line: int) -> dict[str, Any]:
    """The result of the module's import; nothing, and a fault, if it ended the process or took too long."""
    order = json.dumps({"function": journey.function, "folders": journey.folders, "path": faults.path, "line": line})
    reads, writes = os.pipe()
    # What its code has started may still hold the other end.
    os.set_blocking(reads, False)
    try:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _CHECK, str(writes), order],
                stdin=subprocess.DEVNULL,
                stdout=_STANDARD_ERROR,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.curdir for entry in sys.path)},
                pass_fds=(writes,),
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            faults.add(line, f"the journey {journey.function} was still being imported after {format_number(_SECONDS)} s")
            return {}
        finally:
            os.close(writes)
        try:
            found: dict[str, Any] = json.loads(os.read(reads, MOST_REPORT))
        except (BlockingIOError, ValueError):
            faults.add(line, f"importing the journey {journey.function} ended the process (exit code {done.returncode})")
            return {}
        return found
    finally:
        os.close(reads)
