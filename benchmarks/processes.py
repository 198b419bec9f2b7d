"""Programs that a benchmark starts: pinned to a core, measured from outside, and gone when it ends, Ctrl-C included."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from velro_gate.errors import VelroError

ROOT = Path(__file__).resolve().parents[1]
_PINNED = ROOT / "benchmarks" / "pinned.py"
_STOP_SECONDS = 5.0
_TAIL = 2_000


class FailedError(RuntimeError):
    """A program that a benchmark needs did not do what it was started for."""


def carry_out(main: Callable[[], None]) -> None:
    """Run a benchmark. SIGTERM ends it as Ctrl-C does, through every ``finally``, so that no program stays behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (FailedError, VelroError) as error:
        raise SystemExit(f"the benchmark ended early: {error}") from None


def two_cores() -> tuple[int | None, int | None]:
    """The server's core and the generator's: the first two that may be used; none where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def module(name: str, *arguments: object) -> list[str]:
    """The command of a module of ours in a fresh interpreter."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def our_environment() -> dict[str, str]:
    """Ours, with this checkout first where Python looks for packages."""
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Started:
    """A running program; what it prints goes to files, so that it never waits for a reader."""

    name: str
    process: subprocess.Popen[bytes]
    printed: IO[bytes]
    complained: IO[bytes]

    @property
    def meter(self) -> Meter:
        """Measures it from outside."""
        return Meter(self.process.pid)

    def output(self) -> str:
        """What it has printed so far."""
        return _text(self.printed)

    def complaints(self) -> str:
        """The end of what it has said on its error stream."""
        return _text(self.complained)[-_TAIL:]

    def wait(self, seconds: float) -> int:
        """Its exit code.

        Raises:
            FailedError: it has not ended within that time.
        """
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise FailedError(f"{self.name} did not end within {seconds:.0f} s: {self.complaints()}") from error

    def require_success(self, seconds: float) -> str:
        """What it printed, when it has ended well.

        Raises:
            FailedError: with what it said.
        """
        code = self.wait(seconds)
        if code:
            raise FailedError(f"{self.name} ended with {code}: {self.complaints() or self.output()[-_TAIL:]}")
        return self.output()

    def line(self, seconds: float = 30.0) -> str:
        """The first line that it prints.

        Raises:
            FailedError: it ended before, or took too long.
        """
        deadline = time.monotonic() + seconds
        while "\n" not in self.output():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise FailedError(f"{self.name} did not start: {self.complaints()}")
            time.sleep(0.02)
        return self.output().partition("\n")[0]


@contextlib.contextmanager
def started(
    command: Sequence[str], *, core: int | None = None, env: Mapping[str, str] | None = None, where: Path | None = None
) -> Iterator[Started]:
    """A program in a process group of its own, ended with everything that it started."""
    launcher = [sys.executable, "-I", str(_PINNED), "-" if core is None else str(core)]
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as complained:
        process = subprocess.Popen(
            [*launcher, *command],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=complained,
            env=our_environment() if env is None else dict(env),
            cwd=where,
            start_new_session=True,
        )
        try:
            yield Started(name=" ".join(command[:4]), process=process, printed=printed, complained=complained)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Also when the program itself has ended: what it started may not have.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            return


def _text(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")


class Meter:
    """CPU, memory and descriptors of a process and everything that it started, read from outside."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """CPU time used so far, that of its children included."""
        total = 0.0
        for each in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def resident(self) -> int:
        """Resident bytes; pages that several processes share count for each."""
        return sum(self._each(lambda process: int(process.memory_info().rss)))

    def descriptors(self) -> int:
        """Open files."""
        return sum(self._each(lambda process: int(process.num_fds())))

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _each(self, read: Callable[[psutil.Process], int]) -> Iterator[int]:
        for each in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                yield read(each)
