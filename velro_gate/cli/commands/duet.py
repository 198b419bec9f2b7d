"""The duet command: from its options to the two builds, the verdict and its files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from velro_gate.cli.options import Format
from velro_gate.cli.printing import print_verdict
from velro_gate.cli.running import Confirmable, stop_if_interrupted
from velro_gate.cli.world import real_effects
from velro_gate.errors import UsageError
from velro_gate.gate.builds.run import START_SECONDS, Address, Build, Builds, Command
from velro_gate.gate.builds.service_user import ServiceUser, service_user
from velro_gate.gate.duet.duration import say_forecast
from velro_gate.gate.duet.pilot import Wishes
from velro_gate.gate.duet.run import duet
from velro_gate.gate.judge.check_waivers import check_waivers
from velro_gate.gate.judge.verdict import reach_duet_verdict, write_reports
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import make_results, run_id
from velro_gate.gate.measure.setup import Asked, prepare
from velro_gate.model.duet import Side
from velro_gate.model.record import Revision
from velro_gate.monitor.environment import revision
from velro_gate.scenario import service_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line says of one build."""

    side: str
    url: str | None
    command: str | None
    directory: Path | None
    user: ServiceUser | None = None
    """Whom a command runs as; None: whoever gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Where results go and how they are printed."""

    output: Path
    waivers: Path
    runner: str | None
    verbose: bool
    format: Format
    calibrate: bool


def run_duet(
    wanted: Asked, base: Given, head: Given, wishes: Wishes, shown: Shown, *, health_path: str | None, start_seconds: float
) -> int:
    """Measure, judge, write the reports, print; the verdict's exit code.

    Raises:
        UsageError: a build is named twice or not at all, or cannot be. InterruptedRunError: the user stopped.
    """
    builds = Builds(base=build_of(base, start_seconds), head=build_of(head, start_seconds), health_path=health_path)
    builds.check()
    # A build that is started gets its own address: any will do where the scenario takes it from the environment.
    setup = prepare(replace(wanted, url=head.url), {"VELRO_API_URL": "http://127.0.0.1", **os.environ})
    check_waivers(shown.waivers, setup.scenario)
    with real_effects(shown.runner, shown.verbose) as effects:
        say_forecast(setup.phases, wishes, effects.say)
        name = run_id(effects.utc_now(), setup.plan.scenario, f"{setup.plan.profile}-duet")
        results = make_results(shown.output, name)
        record, kept = duet(setup, builds, wishes, results, effects, Calibration() if shown.calibrate else None)
    verdict = reach_duet_verdict(record, kept, waivers=shown.waivers)
    write_reports(record, verdict, results)
    stop_if_interrupted(record, results)
    return print_verdict(record, verdict, results.folder, shown.format)


def confirmable(base: Given, minutes: float, *, no_confirm: bool) -> Confirmable | None:
    """How ``gate`` may confirm a suspicion; None: not at all.

    Raises:
        UsageError: the base build is named in a way that cannot be, or though nothing is confirmed.
    """
    named = base.url is not None or base.command is not None or base.directory is not None
    if not named:
        return None if no_confirm else Confirmable(seconds=minutes * 60.0, seed=fresh_seed())
    if no_confirm:
        raise UsageError("a base build is of no use with --no-confirm", hint="It is what a suspicion is confirmed by.")
    return Confirmable(seconds=minutes * 60.0, seed=fresh_seed(), base=build_of(base, START_SECONDS))


@contextmanager
def another_user(name: str | None, *commands: str | None) -> Iterator[ServiceUser | None]:
    """Whom the commands shall run as, and its folder; None: the user who gives them.

    Raises:
        UsageError: there is no command, or nothing can be run as that user.
    """
    if name is None:
        yield None
        return
    if not any(commands):
        raise UsageError(
            "--service-user is of no use without a command", hint="It is who --base-command or --head-command runs as."
        )
    with service_user(name) as user:
        yield user


def fresh_seed() -> int:
    """A seed that nobody could foresee; it is recorded."""
    return secrets.randbelow(2**32)


def build_of(given: Given, start_seconds: float) -> Build:
    """The build that the command line names.

    Raises:
        UsageError: it is named twice or not at all, or in a way that cannot be.
    """
    side = given.side
    if (given.url is None) is (given.command is None):
        what = "is named twice" if given.url is not None else "is not named"
        raise UsageError(
            f"the {side} build {what}", hint=f"Give --{side}-url of one that runs, or --{side}-command to start it; not both."
        )
    if given.url is not None:
        if given.directory is not None:
            raise UsageError(f"--{side}-directory is of no use with --{side}-url", hint="It is where a command runs.")
        return Address(url=service_url(given.url, f"--{side}-url"), revision=_revision(given))
    assert given.command is not None
    command = Command(
        line=given.command,
        directory=(given.directory or Path.cwd()).absolute(),
        revision=_revision(given),
        start_seconds=start_seconds,
    )
    if given.user is None or not command.directory.is_dir():
        return command
    copied = given.user.copy(command.directory, Side(side))
    return replace(command, directory=copied, environ=given.user.environ, user=given.user.name)


def _revision(given: Given) -> Revision:
    """Of the build's own folder; the head build without one is what the CI job or the working folder says."""
    if given.directory is not None:
        return revision(given.directory, environ={})
    return revision(Path.cwd()) if given.side == "head" else Revision()
