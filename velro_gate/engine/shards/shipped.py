"""Files that a shard on another machine needs: certificates and keys, and the source of journeys written in Python.

They travel with the order. Certificates and keys are never written to a disk there: they stay in the shard's memory, as files
without a name (memfd). Sources are written to a private folder that is removed when the shard ends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from velro_gate.engine.run import Load
from velro_gate.errors import UsageError
from velro_gate.model.scenario import Journey, Target
from velro_gate.units import format_bytes

MOST_SOURCE = 8 * 2**20
"""Bytes of source files that go with a journey."""

_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages"})


def certificate_files(target: Target) -> dict[str, bytes]:
    """Contents of the files that a target names.

    Raises:
        UsageError: one cannot be read.
    """
    found = {}
    for name in (target.ca_file, target.client_certificate, target.client_key):
        if name is not None:
            try:
                found[name] = Path(name).read_bytes()
            except OSError as error:
                raise UsageError("a file of the target cannot be read", where=name, why=error.strerror) from error
    return found


def journey_sources(journey: Journey | None) -> dict[str, bytes]:
    """The source files next to a journey's module that it may import: all of its package, and the modules of that folder.

    Empty where the module is not in the journey's folders: it is installed then, and has to be on every machine.

    Raises:
        UsageError: they are larger than ``MOST_SOURCE`` together.
    """
    root = None if journey is None else _root(journey)
    if journey is None or root is None:
        return {}
    found, size = {}, 0
    for path in _sources(root, journey.module.partition(".")[0]):
        found[path.relative_to(root).as_posix()] = content = path.read_bytes()
        size += len(content)
        if size > MOST_SOURCE:
            raise UsageError(
                f"the Python files next to the journey {journey.function} are larger than {format_bytes(MOST_SOURCE)}",
                where=str(root),
                hint="Keep the journey and what it imports in a folder of their own.",
            )
    return found


def _root(journey: Journey) -> Path | None:
    """The folder that the module is imported from."""
    for folder in journey.folders:
        stem = Path(folder, *journey.module.split("."))
        if stem.with_suffix(".py").is_file() or (stem / "__init__.py").is_file():
            return Path(folder)
    return None


def _sources(root: Path, package: str) -> Iterator[Path]:
    yield from sorted(path for path in root.glob("*.py") if path.is_file())
    for folder, inner, names in os.walk(root / package):
        inner[:] = sorted(name for name in inner if name not in _LEFT_OUT and not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


@contextmanager
def unpacked(load: Load, files: Mapping[str, bytes], modules: Mapping[str, bytes]) -> Iterator[Load]:
    """The load with these files in place of those it names, for the length of the block."""
    with ExitStack() as stack:
        scenario = load.scenario
        if files:
            names = {name: _in_memory(content, stack) for name, content in files.items()}
            target = scenario.target
            scenario = replace(
                scenario,
                target=replace(
                    target,
                    ca_file=names.get(target.ca_file or "", target.ca_file),
                    client_certificate=names.get(target.client_certificate or "", target.client_certificate),
                    client_key=names.get(target.client_key or "", target.client_key),
                ),
            )
        if modules and scenario.journey is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velro-gate-journey-")))
            for name, content in modules.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            scenario = replace(scenario, journey=replace(scenario.journey, folders=(str(folder),)))
        yield load if scenario is load.scenario else replace(load, scenario=scenario)


def _in_memory(content: bytes, stack: ExitStack) -> str:
    """The name, for this process only, of a file that exists in memory only."""
    descriptor = os.memfd_create("velro-gate")
    stack.callback(os.close, descriptor)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    return f"/proc/self/fd/{descriptor}"
