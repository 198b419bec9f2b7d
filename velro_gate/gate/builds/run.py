"""The two builds of a duet: where each is, or the command that starts it; started, waited for and stopped for one block."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import trio

from velro_gate import units
from velro_gate.engine.client.preflight import preflight
from velro_gate.errors import BrokenError, UnreachableError, UsageError
from velro_gate.gate.builds import supervisor
from velro_gate.gate.builds.one_place import foreign_file
from velro_gate.gate.builds.output import BuildOutput
from velro_gate.gate.measure.experiments import through_proxies
from velro_gate.model.duet import Side
from velro_gate.model.record import Revision
from velro_gate.model.resilience.experiment import Proxy
from velro_gate.model.scenario import Target

START_SECONDS = 60.0
"""How long a build may take until it answers its health check."""
STOP_SECONDS = 10.0
"""How long a command has to end after SIGTERM, before SIGKILL."""

_NAMED = {Side.BASE: "the address that --base-url gives", Side.HEAD: "the address that --head-url or --url gives"}
_STARTING_SECONDS = 5.0  # for an address: whoever names one says that it is there
_PORT_TRIES = 5
"""How often a free port is looked for: another process may take it before the build does."""
_ASK_EVERY = 0.1  # what is waited beyond the start is waited in every block
_SUPERVISOR = (sys.executable, "-I", "-S", supervisor.__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBuild:
    """A build that runs already and goes on running: its blocks are not restarted."""

    url: str
    revision: Revision = field(default_factory=Revision)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildCommand:
    """A build that is started for each block: a line for the shell, which finds its port in ``PORT``.

    It has to stay in the foreground.
    """

    line: str
    directory: Path
    """Where it runs."""
    revision: Revision = field(default_factory=Revision)
    start_seconds: float = START_SECONDS
    """How long it may take until its health path responds."""
    stop_seconds: float = STOP_SECONDS
    environ: Mapping[str, str] = field(default_factory=dict)
    """Variables that only this build gets."""
    own: tuple[Path, ...] = ()
    other: tuple[Path, ...] = ()
    """With ``own``: the folders of this build and of the other one, where we made both."""
    since: float | None = None
    """When the other one's build began, if that was later."""
    user: str = ""
    """The user that it runs as; empty: this process's user."""


Build = RunningBuild | BuildCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class Builds:
    """Both builds."""

    base: Build
    head: Build
    health_path: str | None = None
    """The path that is requested until it succeeds; None: the scenario's."""

    def __getitem__(self, side: Side) -> Build:
        return self.base if side is Side.BASE else self.head

    @property
    def restarted(self) -> bool:
        """Whether both are restarted for each block."""
        return isinstance(self.base, BuildCommand) and isinstance(self.head, BuildCommand)

    def started_at(self, target: Target, port: int) -> Target:
        """The scenario's target where a build of it was started: by its protocol, and below its path.

        A name of this machine stays, since a certificate may be for it.
        """
        known = urlsplit(target.url)
        host = known.hostname if known.hostname in ("localhost", "::1") else "127.0.0.1"
        shown = f"[{host}]" if host == "::1" else host
        return self.target(target, f"{known.scheme or 'http'}://{shown}:{port}{known.path.rstrip('/')}")

    def target(self, target: Target, url: str) -> Target:
        """The scenario's target, at another place."""
        health = self.health_path if self.health_path is not None else target.health_path
        return replace(target, url=url, urls=(), unix_socket=None, health_path=health)

    def through(self, proxies: Sequence[Proxy]) -> Builds:
        """The same, started with the addresses of these proxies."""

        def of(build: Build) -> Build:
            """The build with the addresses of its dependencies led through the proxies; a build that runs elsewhere already is
            left as it is.
            """
            if not isinstance(build, BuildCommand):
                return build
            line, environ = through_proxies(build.line, build.environ, proxies)
            return replace(build, line=line, environ=environ)

        return replace(self, base=of(self.base), head=of(self.head)) if proxies else self

    def check(self) -> None:
        """Refuse what can be seen to be wrong before anything is started.

        Raises:
            UsageError: a directory does not exist.
        """
        for side in Side:
            build = self[side]
            # The folder of another user was made by us, and need not be readable.
            if isinstance(build, BuildCommand) and not build.user and not build.directory.is_dir():
                raise UsageError(
                    f"the {side.value} build has no directory to run in",
                    where=str(build.directory),
                    hint=f"Name the folder of that build with --{side.value}-directory.",
                )


def supervised(line: str, directory: Path, *, grace: float, user: str) -> tuple[list[str], Path]:
    """The supervisor's command line for a command, and the folder that the supervisor itself runs in."""
    if user:
        return [*_SUPERVISOR, str(grace), line, user, str(directory)], Path("/")
    return [*_SUPERVISOR, str(grace), line], directory


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running(
    builds: Builds,
    side: Side,
    target: Target,
    *,
    output: BuildOutput,
    environ: Mapping[str, str],
    port: Callable[[], int] = free_port,
) -> AsyncIterator[Target]:
    """The build of one side, healthy, while the ``async with`` block lasts; what was started for it is gone afterwards.

    Args:
        target: the scenario's; what is yielded is the same at the build's own place.
        output: where the command's output is kept.
        environ: of the command; PORT is added.
        port: a port to try.

    Raises:
        UnreachableError: it is not healthy in time. BrokenError: its command cannot be started, or ended.
    """
    build = builds[side]
    if isinstance(build, RunningBuild):
        place = builds.target(target, build.url)
        try:
            await preflight(place, wait_seconds=_STARTING_SECONDS)
        except UnreachableError as error:
            gone = UnreachableError(
                f"the {side.value} build did not respond: {error.what}",
                where=error.where,
                why=error.why,
                hint=f"Start the {side.value} build, or check {_NAMED[side]}: it has to stay up for the whole duet.",
            )
            gone.of_base = side is Side.BASE
            raise gone from error
        yield place
        return
    number = await _free(port, side)
    place = builds.started_at(target, number)
    async with _started(build, side, number, output, environ) as process:
        await _require_health(process, build, side, place, output)
        _require_its_own(process, build, side)
        yield place


async def _free(port: Callable[[], int], side: Side) -> int:
    """A port on which nobody answers: what answers there would be taken for the build."""
    number = 0
    for _ in range(_PORT_TRIES):
        number = port()
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", number)
        except OSError:
            return number
        await stream.aclose()
    raise BrokenError(
        f"there is no free port for the {side.value} build: port {number} is taken",
        why="another process listens there and would be mistaken for the build",
        hint="Stop the process that listens on it ('ss -ltnp' shows it), then run again.",
    )


@asynccontextmanager
async def _started(
    build: BuildCommand, side: Side, port: int, output: BuildOutput, environ: Mapping[str, str]
) -> AsyncIterator[trio.Process]:
    """The supervisor of the build's command; when it has ended, so has everything that the command started."""
    command, folder = supervised(build.line, build.directory, grace=build.stop_seconds, user=build.user)
    with output.opened(f"{build.line!r} on port {port}") as log:
        try:
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log.fileno(),
                cwd=folder,
                env={**environ, **build.environ, "PORT": str(port)},
                start_new_session=True,
            )
        except OSError as error:
            raise BrokenError(
                f"the {side.value} build's command cannot be started",
                why=error.strerror or str(error),
                hint="Check the limits on processes ('ulimit -u') and memory, then run again.",
            ) from error
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            await _end(process, build.stop_seconds)


async def _end(process: trio.Process, grace: float) -> None:
    """Let go of the leash and wait: the supervisor ends the command within the grace, or kills it."""
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.aclose()
    with trio.move_on_after(grace + 10.0):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.stdout.aclose()


async def _require_health(process: trio.Process, build: BuildCommand, side: Side, place: Target, output: BuildOutput) -> None:
    fault: BrokenError | None = None
    async with trio.open_nursery() as nursery:

        async def ended() -> None:
            """Wait until the command ends, which it should not: then say how, and what it printed."""
            nonlocal fault
            assert process.stdout is not None
            said = await process.stdout.receive_some()
            fault = BrokenError(
                f"the {side.value} build's command {_how(said)} before it answered {place.health_path}",
                where=str(output.path),
                why=output.tail() or "it printed nothing",
                hint="It has to stay in the foreground and listen on 127.0.0.1 at the port in PORT: try it by hand.",
            )
            nursery.cancel_scope.cancel()

        nursery.start_soon(ended)
        try:
            await preflight(place, wait_seconds=build.start_seconds, pause_most=_ASK_EVERY)
        except UnreachableError as error:
            fault = UnreachableError(
                f"the {side.value} build did not become healthy in {units.format_duration(build.start_seconds)}: {error.what}",
                where=error.where,
                why=output.tail() or error.why,
                hint=f"Does its command listen on the port in PORT, and is {place.health_path} the right path "
                f"(--health-path, or the action's input health-path)? All of its output is in {output.path}.",
            )
        nursery.cancel_scope.cancel()
    if fault is not None:
        fault.of_base = side is Side.BASE
        raise fault


def _require_its_own(process: trio.Process, build: BuildCommand, side: Side) -> None:
    if not build.other:
        return
    found = foreign_file(process.pid, own=build.own, other=build.other, since=build.since)
    if found is not None:
        error = BrokenError(
            f"the {side.value} build runs {found}, which the other build has written",
            why="both builds write to one place, so that a duet would compare a build with itself",
            hint="Let build-command and start-command use the folder in VELRO_BUILD_DIRECTORY: each build has its own.",
        )
        error.of_base = True
        raise error


def _how(said: bytes | bytearray) -> str:
    code = bytes(said).partition(b":")[2].strip(b" }\n").decode()
    if code.startswith("-"):
        return f"was killed by signal {code.removeprefix('-')}"
    return f"ended with exit code {code}" if code else "ended"
