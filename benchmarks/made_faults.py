"""Saturation of the generator, made on purpose: is each such run called broken, and no clean one?

``python -m benchmarks.made_faults --runs 50 --clean-runs 100``

Every run is a process of its own that measures and judges as a user's does, with everything that watches it:

    quota        a control group leaves it a tenth of a core; where none can be made, busy processes of higher priority do
    stall        something in its loop blocks for a third of every second
    descriptors  other files of the process take those that the plan counts on, up to RLIMIT_NOFILE
    ports        another program holds most of a tiny range of local ports, in a network namespace of its own
    clean        nothing
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from scipy.stats import beta

from benchmarks import plans
from benchmarks.peers.rounds import say
from benchmarks.processes import FailedError, carry_out, module, started, two_cores
from benchmarks.table import Figure, Page, Table, figures_table, options
from benchmarks.truth import Delays, truth
from benchmarks.world import quiet_effects
from velro_gate.errors import BrokenError
from velro_gate.gate.judge.verdict import reach_verdict
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import run

KINDS = ("quota", "stall", "descriptors", "ports")
CLEAN = "clean"
USERS, RATE, RAMP, SECONDS = 200, 200.0, 1.0, 3.0
CONFIDENCE = 0.95
BROKEN = "broken"

_QUOTA_SHARE, _QUOTA_PERIOD = 0.1, 100_000  # of a core; microseconds
_COMPETITORS = 4
_STALL = 0.33
_SPARE_DESCRIPTORS = 64 + USERS // 2
_PORTS = USERS + 20
_TAKEN_PORTS = USERS // 2
_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000  # linux/sched.h
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1  # linux/sockios.h, linux/if.h
_RUN_SECONDS = 120.0
_GROUPS = Path("/sys/fs/cgroup")


def clopper_pearson(hits: int, runs: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The two-sided exact interval of a share (Clopper and Pearson, 1934)."""
    rest = (1.0 - confidence) / 2.0
    low = float(beta.ppf(rest, hits, runs - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1.0 - rest, hits + 1, runs - hits)) if hits < runs else 1.0
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The result of one run. fault: why there is no verdict."""

    level: str = ""
    codes: tuple[str, ...] = ()
    fault: str = ""


def main() -> None:
    """Run each kind ``--runs`` times, print how often the verdict was broken, and why."""
    arguments = options(__doc__)
    arguments.add_argument("--runs", type=int, default=50, help="of each kind of fault")
    arguments.add_argument("--clean-runs", type=int, default=100)
    arguments.add_argument("--only", nargs="+", choices=(*KINDS, CLEAN), default=(*KINDS, CLEAN))
    arguments.add_argument("--calibrate", action="store_true", help="with the null run before, as in 'velro-gate gate'")
    arguments.add_argument("--one", choices=(*KINDS, CLEAN), help="make one run in this very process and print it as JSON")
    wanted = arguments.parse_args()
    if wanted.one:
        print(json.dumps(_one(wanted.one, calibrate=wanted.calibrate)))
        return
    page = Page(markdown=wanted.markdown)
    results = {}
    for kind in wanted.only:
        runs = wanted.clean_runs if kind == CLEAN else wanted.runs
        results[kind] = [_judged(kind, number, runs, wanted.calibrate) for number in range(runs)]
    page.show(_counts(results))
    page.show(figures_table("Figures with targets", [figure(kind, judged) for kind, judged in results.items()]))


def _judged(kind: str, number: int, runs: int, calibrate: bool) -> Judged:
    """One run in a process of its own, pinned to the generator's core; the service on the other one."""
    command = module("benchmarks.made_faults", "--one", kind, *(["--calibrate"] if calibrate else []))
    with started(command, core=two_cores()[1]) as running:
        try:
            said = json.loads(running.require_success(_RUN_SECONDS).strip().rpartition("\n")[2])
            found = Judged(level=said["level"], codes=tuple(said["codes"]))
        except FailedError as error:
            found = Judged(fault=str(error)[-300:])
    say(f"{kind} {number + 1}/{runs}: {found.level or found.fault} {', '.join(found.codes)}")
    return found


def _counts(results: dict[str, list[Judged]]) -> Table:
    rows = []
    for kind, judged in results.items():
        done = [each for each in judged if not each.fault]
        broken = sum(each.level == BROKEN for each in done)
        low, high = clopper_pearson(broken, len(done)) if done else (0.0, 1.0)
        codes = Counter(code for each in done for code in each.codes)
        why = ", ".join(f"{code} {count}" for code, count in codes.most_common(5))
        faults = "; ".join(dict.fromkeys(each.fault for each in judged if each.fault))
        rows.append((kind, f"{broken} of {len(done)}", f"{low:.1%} to {high:.1%}", why, faults))
    return Table(
        title="Verdict broken",
        columns=("made", "broken", f"share, {CONFIDENCE:.0%} (Clopper-Pearson)", "trust findings, runs", "could not be run"),
        rows=tuple(rows),
    )


def figure(kind: str, judged: list[Judged]) -> Figure:
    """How often it was called broken, and how often it should have been."""
    done = [each for each in judged if not each.fault]
    broken = sum(each.level == BROKEN for each in done)
    right = broken == (0 if kind == CLEAN else len(done))
    return Figure(
        name=f"{kind}: runs called broken",
        target=f"0 of {len(judged)}" if kind == CLEAN else f"{len(judged)} of {len(judged)}",
        measured=f"{broken} of {len(done)}",
        reached=right and len(done) == len(judged) if done else None,
    )


# One run, in a process of its own


def _one(kind: str, *, calibrate: bool) -> dict[str, object]:
    """Make the fault, measure and judge."""
    with contextlib.ExitStack() as stack:
        if kind == "ports":
            _own_network()
        server = stack.enter_context(
            truth(Delays(kind="constant", parameters=(0.005,)), core=two_cores_of_machine()[0], keep=False)
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velro-fault-")))
        plan = plans.Wanted(users=USERS, seconds=SECONDS, ramp=RAMP, rate=RATE, requirements={"p95": "< 100 ms"})
        setup = plans.setup(folder, server.url, plan)
        effects = quiet_effects(os.environ)
        match kind:
            case "quota":
                stack.enter_context(_little_processor())
            case "stall":
                effects = replace(effects, observe=lambda _: time.sleep(_STALL))
            case "descriptors":
                stack.enter_context(_few_descriptors())
            case "ports":
                stack.enter_context(_few_ports(server.url))
        try:
            record = run(setup, make_results(folder, kind), effects, Calibration() if calibrate else None)
        except BrokenError as error:
            # What 'velro-gate gate' ends with as well, before its load.
            return {"level": BROKEN, "codes": [f"no null run: {error.what}"]}
    verdict = reach_verdict(record, None)
    return {"level": verdict.level.word, "codes": sorted({finding.code for finding in verdict.trust})}


def two_cores_of_machine() -> tuple[int | None, int | None]:
    """As two_cores, of the whole machine: this process is pinned already."""
    count = os.cpu_count() or 1
    return (0, 1) if count > 1 else (None, None)


@contextlib.contextmanager
def _little_processor() -> Iterator[None]:
    """A tenth of a core for this process."""
    group = _make_group()
    if group is None:
        with _competitors():
            yield
        return
    try:
        (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        group.rmdir()


def _make_group() -> Path | None:
    """A control group with a quota below the one that this process is in; None where that may not be done."""
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        number, names, path = line.split(":", 2)
        quota = round(_QUOTA_SHARE * _QUOTA_PERIOD)
        if "cpu" in names.split(","):
            parent, settings = _GROUPS / "cpu", {"cpu.cfs_period_us": f"{_QUOTA_PERIOD}", "cpu.cfs_quota_us": f"{quota}"}
        elif number == "0" and not names:
            parent, settings = _GROUPS, {"cpu.max": f"{quota} {_QUOTA_PERIOD}"}
        else:
            continue
        group = parent / path.lstrip("/") / f"velro-fault-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            for name, text in settings.items():
                (group / name).write_text(text, encoding="ascii")
        except OSError:
            group.rmdir()
            continue
        return group
    return None


@contextlib.contextmanager
def _competitors() -> Iterator[None]:
    """Busy processes on this process's core, of higher priority than this one."""
    command = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(command) for _ in range(_COMPETITORS)]
    os.nice(15)
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


@contextlib.contextmanager
def _few_descriptors() -> Iterator[None]:
    """As many as the plan needs by its own count, and half of its users' taken by something else."""
    opened = sum(1 for _ in Path("/proc/self/fd").iterdir())
    limit = USERS + 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(max(0, limit - opened - _SPARE_DESCRIPTORS))]
    try:
        yield
    finally:
        for number in taken:
            os.close(number)


def _own_network() -> None:
    """A network namespace with nothing but loopback, and few local ports in it.

    Raises:
        FailedError: the system does not allow it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWNET) and library.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        raise FailedError(f"no network namespace may be made here: {os.strerror(ctypes.get_errno())}")
    with socket.socket() as asking:
        fcntl.ioctl(asking, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


@contextlib.contextmanager
def _few_ports(url: str) -> Iterator[None]:
    """A range that the plan fits into, half of it taken by another program's connections to the same service."""
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"50000 {50_000 + _PORTS - 1}", encoding="ascii")
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    script = (
        "import socket, sys, time\n"
        f"held = [socket.create_connection(({parts.hostname!r}, {parts.port})) for _ in range({_TAKEN_PORTS})]\n"
        "print('held', flush=True)\n"
        "time.sleep(600)\n"
    )
    with started([sys.executable, "-c", script]) as holder:
        holder.line()
        yield


if __name__ == "__main__":
    carry_out(main)
