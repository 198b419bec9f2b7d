"""Where the time of the saturated engine goes, function by function. ``python -m benchmarks.profile``.

Under py-spy where it is there (the PyPI package py-spy brings it; ``--bin`` names a further folder), which looks from outside,
once all users are connected, and slows nothing; else under cProfile, start-up included, which makes every call dearer and so
favours code with few of them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pstats
import re
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.nginx import UNIQUE, nginx
from benchmarks.processes import ROOT, FailedError, carry_out, module, started, two_cores
from benchmarks.table import Page, Table, options

_START = 4.0
"""Seconds until the engine has started and its users are connected."""

_IDLE = "_thread_cache.py"
_FRAME = re.compile(r"^(?P<name>.*) \((?P<file>[^():]+)(:(?P<line>\d+))?\)$")


def self_and_total(collapsed: str) -> tuple[Counter[str], Counter[str]]:
    """Samples by function, on top of the stack and anywhere in it, from ``outer;inner;innermost COUNT`` lines.

    Threads that wait for work are left out: with native frames py-spy does not see that they are idle.
    """
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in collapsed.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack or not count.isdigit() or _IDLE in stack:
            continue
        frames = [_function(frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    return own, total


def _function(frame: str) -> str:
    """``name (file)`` without the line, and without what lies before the package."""
    found = _FRAME.match(frame)
    return f"{found['name']} ({_short(found['file'])})" if found else frame


def _short(path: str) -> str:
    return re.sub(r"^.*/(site-packages|python3\.\d+)/", "", path.removeprefix(f"{ROOT}/"))


def main() -> None:
    """Profile the loop, print the top."""
    arguments = options(__doc__)
    arguments.add_argument("--users", type=int, default=100)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--rate", type=float, help="at a rate instead of saturated")
    arguments.add_argument("--tls", action="store_true")
    arguments.add_argument("--unique", action="store_true", help="with a header of another value in each response")
    arguments.add_argument("--top", type=int, default=25)
    arguments.add_argument("--bin", type=Path, action="append", default=[], help="a further folder in which py-spy may lie")
    wanted = arguments.parse_args()
    page = Page(markdown=wanted.markdown)
    spy = shutil.which("py-spy", path=os.pathsep.join([*map(str, wanted.bin), os.environ.get("PATH", "")]))
    core, own = two_cores()
    with tempfile.TemporaryDirectory() as place, nginx(core=core) as server:
        url = (server.tls_url if wanted.tls else server.url) + (UNIQUE if wanted.unique else "/")
        load = ["--url", url, "--users", wanted.users, "--seconds", wanted.seconds + _START, "--ramp", 1.0]
        load += ["--keep", Path(place) / "samples.npz", *(["--rate", wanted.rate] if wanted.rate else [])]
        what = f"{wanted.users:,} users, {'saturated' if wanted.rate is None else f'{wanted.rate:,.0f} requests/s'}"
        patience = wanted.seconds + 90.0
        if spy is None:
            page.say("py-spy is not here (the PyPI package py-spy brings it): cProfile instead.")
            page.show(_with_cprofile(Path(place), load, own, patience, what, wanted.top))
        else:
            page.show(_with_spy(spy, Path(place), load, own, wanted, what))


def _with_spy(spy: str, folder: Path, load: list[object], core: int | None, wanted: argparse.Namespace, what: str) -> Table:
    file = folder / "profile.txt"
    with started(module("benchmarks.saturate", *load), core=core) as running:
        time.sleep(_START)
        options = ["--format", "raw", "--native", "--rate", "200", "--duration", f"{wanted.seconds:.0f}"]
        command = [spy, "record", *options, "--pid", str(running.process.pid), "--output", str(file)]
        with started(command) as looking:
            looking.wait(wanted.seconds + 60.0)
            if not file.exists():
                raise FailedError(f"py-spy kept no profile: {looking.complaints()}")
    own, total = self_and_total(file.read_text(encoding="utf-8"))
    samples = sum(own.values())
    rows = tuple(
        (f"{count / samples:.1%}", f"{total[name] / samples:.1%}", name) for name, count in own.most_common(wanted.top)
    )
    return Table(title=f"py-spy: {what}, {samples:,} looks", columns=("itself", "with what it calls", "function"), rows=rows)


def _with_cprofile(folder: Path, load: list[object], core: int | None, patience: float, what: str, top: int) -> Table:
    file = folder / "profile.pstats"
    command = module("cProfile", "-o", file, "-m", "benchmarks.saturate", *load)
    with started(command, core=core) as running:
        running.require_success(patience)
    with contextlib.redirect_stdout(None):
        entries = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    whole = sum(own for _, _, own, _, _ in entries.values())
    ranked = sorted(entries.items(), key=lambda item: -item[1][2])[:top]
    rows = tuple(
        (f"{own / whole:.1%}", f"{with_calls / whole:.1%}", f"{calls:,}", f"{name} ({_short(path)})")
        for (path, _, name), (_, calls, own, with_calls, _) in ranked
    )
    return Table(title=f"cProfile: {what}", columns=("itself", "with what it calls", "calls", "function"), rows=rows)


if __name__ == "__main__":
    carry_out(main)
