"""The process in which a collector's code runs: for each line on standard input, one line of JSON on standard output.

``main(function, *folders)`` runs there; it ends when its standard input does.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO


def main(function: str, *folders: str) -> None:
    """Ask the collector whenever a line comes, until none comes any more."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever the user's code prints must not be taken for an answer.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    serve(function, folders, sys.stdin, said)


def serve(function: str, folders: tuple[str, ...], asked: TextIO, said: TextIO) -> None:
    """The same, with its streams as arguments."""
    sys.path.extend(place for place in folders if place not in sys.path)
    collector: Any = None
    for _ in asked:
        try:
            if collector is None:
                module, _, name = function.partition(":")
                collector = getattr(importlib.import_module(module), name)()
            said.write(json.dumps({"values": _numbers(collector.collect())}) + "\n")
        except Exception as error:  # noqa: BLE001 (the user's code may raise anything; it is reported, and asked again)
            said.write(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}) + "\n")
        said.flush()


def _numbers(values: object) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise TypeError(f"collect() returned {type(values).__name__} instead of a mapping")
    numbers = {str(name): float(value) for name, value in values.items()}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


if __name__ == "__main__":
    main(*sys.argv[1:])
