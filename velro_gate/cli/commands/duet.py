"""The duet command: from its options to the two builds, the verdict and its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from velro_gate.cli.commands.afterwards import Afterwards, nothing
from velro_gate.cli.options import Format
from velro_gate.cli.printing import print_verdict
from velro_gate.errors import UsageError
from velro_gate.gate.builds.run import START_SECONDS, Build, BuildCommand, Builds, RunningBuild
from velro_gate.gate.builds.service_user import ServiceUser, service_user
from velro_gate.gate.duet.pilot import DuetOptions, fresh_seed
from velro_gate.gate.local.duet import measure_duet
from velro_gate.gate.local.run import Confirmable
from velro_gate.gate.measure.effects import World
from velro_gate.gate.measure.setup import RunOptions
from velro_gate.model.duet import Side
from velro_gate.model.record import Revision
from velro_gate.monitor.environment import revision
from velro_gate.scenario import service_url


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """One build as given on the command line."""

    side: str
    url: str | None
    command: str | None
    directory: Path | None
    user: ServiceUser | None = None
    """The user that a command runs as; None: the calling user."""


def run_duet(
    wanted: RunOptions,
    base: BuildOptions,
    head: BuildOptions,
    options: DuetOptions,
    world: World,
    *,
    output: Path,
    waivers: Path,
    format: Format,
    calibrate: bool,
    health_path: str | None,
    start_seconds: float,
    then: Afterwards = nothing,
) -> int:
    """Measure, judge, write the reports, print; the verdict's exit code. then: what is done after that.

    Raises:
        UsageError: a build is named twice or not at all, or cannot be. InterruptedRunError: the user stopped.
    """
    builds = Builds(base=build_of(base, start_seconds), head=build_of(head, start_seconds), health_path=health_path)
    # The head build's address is the one that the scenario is read with; a build that is started gets its own.
    wanted = replace(wanted, url=head.url)
    record, verdict, results = measure_duet(wanted, builds, options, world, output=output, waivers=waivers, calibrate=calibrate)
    code = print_verdict(record, verdict, results.folder, format)
    then(record, verdict)
    return code


def confirmable(base: BuildOptions, minutes: float, *, no_confirm: bool) -> Confirmable | None:
    """How ``gate`` may confirm a suspicion; None: not at all.

    Raises:
        UsageError: the base build is named in a way that is not possible, or though nothing is confirmed.
    """
    named = base.url is not None or base.command is not None or base.directory is not None
    if not named:
        return None if no_confirm else Confirmable(seconds=minutes * 60.0, seed=fresh_seed())
    if no_confirm:
        raise UsageError(
            "a base build has no effect with --no-confirm", hint="It is there to confirm suspicions. Leave one of them out."
        )
    return Confirmable(seconds=minutes * 60.0, seed=fresh_seed(), base=build_of(base, START_SECONDS))


@contextmanager
def another_user(name: str | None, *commands: str | None) -> Iterator[ServiceUser | None]:
    """The user that the commands run as, and its folder; None: the calling user.

    Raises:
        UsageError: there is no command, or nothing can be run as that user.
    """
    if name is None:
        yield None
        return
    if not any(commands):
        raise UsageError(
            "--service-user has no effect without a command",
            hint="It is the user that --base-command or --head-command runs as.",
        )
    with service_user(name) as user:
        yield user


def build_of(given: BuildOptions, start_seconds: float) -> Build:
    """The build that the command line names.

    Raises:
        UsageError: it is named twice or not at all, or in a way that is not possible.
    """
    side = given.side
    if (given.url is None) is (given.command is None):
        what = "is named twice" if given.url is not None else "is not named"
        raise UsageError(
            f"the {side} build {what}", hint=f"Give either --{side}-url of a running one, or --{side}-command to start it."
        )
    if given.url is not None:
        if given.directory is not None:
            raise UsageError(
                f"--{side}-directory has no effect with --{side}-url", hint="It is the folder in which a command runs."
            )
        return RunningBuild(url=service_url(given.url, f"--{side}-url"), revision=_revision(given))
    assert given.command is not None
    command = BuildCommand(
        line=given.command,
        directory=(given.directory or Path.cwd()).absolute(),
        revision=_revision(given),
        start_seconds=start_seconds,
    )
    if given.user is None or not command.directory.is_dir():
        return command
    copied = given.user.copy(command.directory, Side(side))
    return replace(command, directory=copied, environ=given.user.environ, user=given.user.name)


def _revision(given: BuildOptions) -> Revision:
    """Of the build's own folder; the head build without one is what the CI job or the working folder says."""
    if given.directory is not None:
        return revision(given.directory, environ={})
    return revision(Path.cwd()) if given.side == "head" else Revision()
