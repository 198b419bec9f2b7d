"""Compares the locked requirements with a local copy of PyPA's advisory database, without a network.

Usage: python scripts/audit.py CLONE [REQUIREMENTS...]      (CLONE: of github.com/pypa/advisory-database, bare or not)

Prints each affected line and the date of the newest advisory that was looked at; ends with 1 where a line is affected.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_LINE = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


def _git(clone: str, *arguments: str) -> str:
    return subprocess.run(["git", "-C", clone, *arguments], check=True, capture_output=True, text=True).stdout


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _advisories(clone: str, wanted: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and advisory of each that is about a wanted package."""
    for path in _git(clone, "ls-tree", "-r", "--name-only", "HEAD", "vulns").splitlines():
        name = _canonical(path.split("/")[1])
        if name in wanted:
            yield name, yaml.safe_load(_git(clone, "show", f"HEAD:{path}"))


def _affects(advisory: dict[str, Any], version: str) -> bool:
    return not advisory.get("withdrawn") and any(_in(affected, version) for affected in advisory.get("affected", ()))


def _in(affected: dict[str, Any], version: str) -> bool:
    if version in affected.get("versions", ()):
        return True
    for span in affected.get("ranges", ()):
        if span.get("type") != "ECOSYSTEM":
            continue
        hit = False
        for event in span["events"]:
            if "introduced" in event and _at_least(version, event["introduced"]):
                hit = True
            if "fixed" in event and _at_least(version, event["fixed"]):
                hit = False
        if hit:
            return True
    return False


def _at_least(version: str, other: str) -> bool:
    return _release(version) >= _release(other)


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a release, without zeros at their end; locks hold no pre-releases."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, re.sub(r"(\.0+)+$", "", numbers[0]).split("."))) if numbers else ()


def main() -> int:
    """Compare, print, and say by the exit code whether anything is affected."""
    clone, *named = sys.argv[1:]
    files = [Path(name) for name in named] or sorted(Path(__file__).resolve().parents[1].joinpath("requirements").glob("*.txt"))
    locked: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for name, version in _LINE.findall(file.read_text("utf-8")):
            locked[_canonical(name)].add(version)
    looked_at = found = 0
    for name, advisory in _advisories(clone, set(locked)):
        looked_at += 1
        for version in sorted(locked[name]):
            if _affects(advisory, version):
                found += 1
                print(f"{name} {version}: {advisory['id']}")
    date = _git(clone, "log", "-1", "--format=%cs").strip()
    print(
        f"{len(locked)} packages, {looked_at} advisories about them, {found} that affect a locked version; database of {date}"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
