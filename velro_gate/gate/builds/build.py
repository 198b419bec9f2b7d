"""Building and serving a checkout by its repository's own commands, each under a supervisor, so that nothing of it is left."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from velro_gate import units
from velro_gate.errors import BrokenError
from velro_gate.gate.builds.output import BuildOutput
from velro_gate.gate.builds.run import START_SECONDS, BuildCommand, Builds, free_port, supervised
from velro_gate.gate.builds.service_user import ServiceUser
from velro_gate.gate.builds.supervisor import as_user
from velro_gate.gate.measure.experiments import through_proxies, with_injector
from velro_gate.gate.measure.results import Results
from velro_gate.gate.measure.setup import OtherUser, Setup
from velro_gate.model.duet import Side
from velro_gate.model.masking import secret_values
from velro_gate.model.record import Revision

ANYWHERE = {"VELRO_API_URL": "http://127.0.0.1"}
"""The address of a service that has none yet: it is started on a port of its own."""

STOP_SECONDS = 3.0
"""How long a command has to end after SIGTERM: GitHub kills a cancelled job ten seconds after the first signal."""


@dataclass(slots=True, kw_only=True)
class BuildRunner:
    """Builds services from checkouts, and says how to start them."""

    workspace: Path
    build: str
    """The line for the shell that builds in the folder of the code; empty: there is nothing to build."""
    start: str
    """The line that serves on the port in PORT."""
    health_path: str | None
    seconds: float
    """How long a build may take."""
    environ: Mapping[str, str]
    """The environment variables of both."""
    scratch: Path | None = None
    """Where each build gets a folder for itself (VELRO_BUILD_DIRECTORY), outside of the workspace; None: none does."""
    built: Path | None = None
    """The output of the head's build, where it was built before."""
    user: ServiceUser | None = None
    """The user that both run as, in copies of the folders; None: the user of this process, in the folders themselves."""
    _base_began: float | None = field(default=None, init=False)

    def build_head(self, results: Results) -> None:
        """Build the workspace, once in a job; the output is in ``build-head.log`` of each results folder that asks.

        Raises:
            BrokenError: the command fails or takes too long.
        """
        if self.built is None:
            self.built = self.build_in(self.workspace, Side.HEAD, results)
        elif self.built.exists() and self.built.parent != results.folder:
            results.write(self.built.name, self.built.read_text("utf-8", "replace"))

    def build_in(self, folder: Path, side: Side, results: Results) -> Path:
        """Build in a folder; the file of the command's output.

        Raises:
            BrokenError: the command fails or takes too long.
        """
        output = self._output(results, f"build-{side.value}.log")
        if self.user is not None:
            folder = self.user.copy(folder, side)
        if not self.build:
            return output.path
        fault = None
        if side is Side.BASE:
            self._base_began = time.time()
        try:
            with self._kept(self.build, folder, self._environ(side), output) as process:
                fault = _fault(process, self.seconds)
        finally:
            output.keep()
        if fault is not None:
            error = BrokenError(
                f"the {side.value} build's build-command {fault}",
                where=str(output.path),
                why=output.tail() or "it printed nothing",
                hint="Try the command by hand in a fresh checkout of that commit; the input build-minutes allows more time.",
            )
            error.of_base = side is Side.BASE
            raise error
        return output.path

    def builds(self, base: Path, base_revision: Revision, head_revision: Revision) -> Builds:
        """Both builds of a duet, to be started for each block."""

        places = {Side.BASE: base, Side.HEAD: self.workspace}
        folders = {side: (self._code(place, side), *self._own_folder(side)) for side, place in places.items()}

        def command(side: Side, revision: Revision) -> BuildCommand:
            """How this side is started, in the folder of its checkout."""
            other = Side.HEAD if side is Side.BASE else Side.BASE
            return BuildCommand(
                line=self.start,
                directory=folders[side][0],
                revision=revision,
                stop_seconds=STOP_SECONDS,
                environ=self._own_environ(side),
                own=folders[side],
                other=folders[other] if base != self.workspace else (),
                # The base build is made second: what has changed since is its work.
                since=self._base_began if side is Side.HEAD else None,
                user="" if self.user is None else self.user.name,
            )

        return Builds(
            base=command(Side.BASE, base_revision), head=command(Side.HEAD, head_revision), health_path=self.health_path
        )

    def _code(self, folder: Path, side: Side) -> Path:
        return folder if self.user is None else self.user.code(side)

    def _own_folder(self, side: Side) -> tuple[Path, ...]:
        """The folder that a build has for itself, if it has one."""
        if self.user is not None:
            return (self.user.build_folder(side),)
        return () if self.scratch is None else (self.scratch / f"build-{side.value}",)

    def _own_environ(self, side: Side) -> dict[str, str]:
        """The variables that one build does not share with the other."""
        named: dict[str, str] = {}
        if self.user is not None:
            named = {**self.user.environ, "GITHUB_WORKSPACE": str(self.user.code(side))}
        for folder in self._own_folder(side):
            if self.user is None:
                folder.mkdir(parents=True, exist_ok=True)
            named["VELRO_BUILD_DIRECTORY"] = str(folder)
        return named

    def _environ(self, side: Side, **more: str) -> dict[str, str]:
        return {**self.environ, **self._own_environ(side), **more}

    @contextmanager
    def serving(self, setup: Setup, results: Results) -> Iterator[Setup]:
        """The head build, started and not yet waited for, while the ``with`` block lasts; the setup against it.

        Raises:
            BrokenError: it cannot be built.
        """
        self.build_head(results)
        output, port = self._output(results, "head.log"), free_port()
        known = setup.scenario.target
        builds = self.builds(self.workspace, Revision(), Revision())
        target = builds.started_at(known, port)
        line, environ = through_proxies(self.start, self._environ(Side.HEAD, PORT=str(port)), setup.scenario.proxies)
        try:
            folder = self._code(self.workspace, Side.HEAD)
            # What it depends on has to be there when it starts.
            with with_injector(setup) as ready, self._kept(line, folder, environ, output):
                served = replace(setup.scenario, target=target)
                yield replace(ready, scenario=served, start_seconds=START_SECONDS, user=self.other_user(folder))
        finally:
            output.keep()

    def other_user(self, folder: Path | None = None) -> OtherUser | None:
        """Whom commands of experiments run as, since they come with the change as the service does. folder: where, once there
        is a copy of the code.
        """
        if self.user is None:
            return None
        line, rights = as_user(self.user.name, ["/bin/sh", "-s"])
        place = self.user.place if folder is None else folder
        return OtherUser(line=tuple(line), rights=rights, folder=place, environ=self._own_environ(Side.HEAD))

    def _output(self, results: Results, name: str) -> BuildOutput:
        return BuildOutput(results.folder / name, secret_values(self.environ))

    @contextmanager
    def _kept(
        self, line: str, folder: Path, environ: Mapping[str, str], output: BuildOutput
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The supervisor of a command, while the ``with`` block lasts; afterwards nothing of the command is left."""
        user = "" if self.user is None else self.user.name
        command, place = supervised(line, folder, grace=STOP_SECONDS, user=user)
        with output.opened(repr(line)) as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=place,
                env=dict(environ),
                start_new_session=True,
            )
            with process:
                try:
                    yield process
                finally:
                    # The leash: without it the supervisor ends the command, and itself. A cancelled job waits for that, too.
                    assert process.stdin is not None
                    process.stdin.close()
                    process.wait()


def _fault(process: subprocess.Popen[bytes], seconds: float) -> str | None:
    """What was wrong with how the command ended; None where nothing was."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"took longer than {units.format_duration(seconds)}"
    assert process.stdout is not None
    code = json.loads(process.stdout.read() or b"{}").get("ended")
    return None if code == 0 else f"ended with exit code {code}"
