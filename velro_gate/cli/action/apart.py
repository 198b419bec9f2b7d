"""Has the measuring done by another process, so that no code of a proposed change runs where the job's token is.

Rules. The process is started fresh, never forked, and what it needs to know goes through a pair of sockets. It ends, with all
that it has started, before anything is done with the token again. What it prints is shown without secrets and commands. What it
says and leaves is data: the record is read from its folder and judged here. Ending without a word is not a verdict.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from velro_gate.cli.action.measuring import MeasureTask, Task
from velro_gate.cli.output import talk
from velro_gate.errors import BrokenError, Fault, ScenarioError, VelroError
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.measurements import asked_by
from velro_gate.gate.action.unchanged import Unchanged
from velro_gate.gate.builds.build import ANYWHERE
from velro_gate.gate.builds.no_duet import NoDuetError
from velro_gate.gate.builds.service_user import ServiceUser, service_user
from velro_gate.gate.builds.supervisor import adopt_orphans, leave_nothing
from velro_gate.gate.duet.pull_request import Base, ProposedChange, base_of
from velro_gate.gate.judge.verdict import judge_kept, kept_further, reach_verdict, reread
from velro_gate.gate.measure.results import Results, require_as_measured, sweep
from velro_gate.gate.measure.setup import prepare
from velro_gate.github.event import Mode
from velro_gate.hardening import bare
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.model.selftest import Selftest
from velro_gate.model.verdict import Verdict
from velro_gate.store.codec import encode_record
from velro_gate.store.duets import read_duet
from velro_gate.store.records import RECORD
from velro_gate.store.selftests import SELFTEST, read_selftest

LONGEST_ANSWER = 1 << 20
"""Bytes that the measuring process may answer: code of a proposed change runs there, and may write anything."""
LONGEST_TEXT = 20_000
"""Characters of a text in it, likewise."""
GRACE = 2.0
"""Seconds that what is left of the process has to end."""

_INTERRUPTS = 2
"""How often the process is asked to end before it is made to."""

# Isolated: no variable and no folder of the job has a say in which code is run.
_START = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from velro_gate.cli.action.measuring import main
main(int(sys.argv[2]))
"""
_NOT_ASKED = Base(reason="this job measures no change", advice="")


@dataclass(slots=True, kw_only=True)
class Apart:
    """One job's ways to measure, for ``gate.job.Job``."""

    change: ProposedChange
    inputs: Inputs
    job: contextlib.ExitStack
    """What has to stay open until the job ends."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """Of the repository's own, by file name."""
    _user: ServiceUser | None = field(default=None, init=False)
    _before: Path | None = field(default=None, init=False)
    _built: Path | None = field(default=None, init=False)
    _unchanged: Unchanged = field(default_factory=Unchanged, init=False)

    def measure(self, baselines: Path, confirm: bool) -> tuple[RunRecord, Verdict, Results]:
        """The load on one build, and its verdict; an interrupted run comes back marked as such.

        confirm: run suspicious phases again, for no longer than the input allows.

        Raises:
            VelroError: there is no record. InterruptedRunError: running phases again was interrupted.
        """
        starts = bool(self.inputs.start_command) and self.inputs.url is None
        # The base is fetched now, since git holds the token: no code of the change may run at the same time.
        sided = confirm and starts and self._gating and self._before is None
        base = base_of(self.change, Path.cwd()) if sided else _NOT_ASKED
        results = self._results(self._order(Task.MEASURE, base, baselines=baselines, confirm=confirm))
        record, verdict = judge_kept(results.folder, baselines, waivers=self.inputs.waivers)
        return record, verdict, results

    def confirm(self, baselines: Path, first: RunRecord) -> tuple[RunRecord, Verdict, Results]:
        """What looked worse in an earlier job's run, run twice more; its verdict by all runs.

        Raises:
            VelroError: there is nothing to judge. InterruptedRunError: it was interrupted.
        """
        place = self.change.scratch / "first"
        place.mkdir(parents=True, exist_ok=True)
        # Written again from what was decoded: the first job's folder may hold whatever code of a change has left there.
        (place / RECORD).write_text(encode_record(first), encoding="utf-8")
        results = self._results(self._order(Task.CONFIRM, _NOT_ASKED, baselines=baselines, first=place))
        # Only what the first job left counts of the first run, whatever code of the change did to it since.
        further = kept_further(results.folder)
        return first, reach_verdict(first, baselines, waivers=self.inputs.waivers, further=further), results

    def measure_change(self) -> tuple[RunRecord, DuetRecord, Results]:
        """The proposed build side by side with its base build.

        Raises:
            NoDuetError: there can be no duet. VelroError: there is no record.
        """
        results = self._results(self._order(Task.DUET, base_of(self.change, Path.cwd())))
        kept = read_duet(results.folder)
        if kept is None:
            raise _nothing_left(f"there are no pairs in {results.folder}")
        return reread(results.folder), kept, results

    def selftest(self) -> Selftest:
        """Look at this runner by the embedded sandbox.

        Raises:
            VelroError: there is no selftest.
        """
        return read_selftest(self._results(self._order(Task.SELFTEST, _NOT_ASKED)).folder / SELFTEST)

    @property
    def _gating(self) -> bool:
        return self.change.event.mode is Mode.GATE

    def _order(
        self, task: Task, base: Base, *, baselines: Path = Path(), confirm: bool = False, first: Path | None = None
    ) -> MeasureTask:
        return MeasureTask(
            task=task,
            inputs=self.inputs,
            gating=self._gating,
            base=base,
            scratch=self.change.scratch,
            environ=dict(os.environ),
            baselines=baselines,
            confirm=confirm,
            first=first,
            before=self._before,
            built=self._built,
            user=self._service_user(),
            templates=self.templates,
        )

    def _service_user(self) -> ServiceUser | None:
        """Whom builds and services run as, from the first time that something is measured until the job ends.

        Raises:
            UsageError: nothing can be run as that user.
        """
        if self._user is None and self.inputs.service_user:
            self._user = self.job.enter_context(service_user(self.inputs.service_user))
        return self._user

    def _results(self, order: MeasureTask) -> Results:
        """The folder that the process has left, whole and without secrets."""
        output = self.inputs.output
        before = _names_in(output)
        self._hide_secrets()
        left: set[str] = set()
        for place in (self.inputs.scenario, self.inputs.waivers):
            if place is not None:
                self._unchanged.note(place)
        if order.task in (Task.MEASURE, Task.CONFIRM):
            # Fetched since the last order, or not at all.
            self._unchanged.note(order.baselines, again=True)
        try:
            said = _carried_out(order)
            self._unchanged.require()
            # A name that was there before is never a result, so no earlier run can be passed off as this one.
            left = _names_in(output) - before
            folder = _folder_of(said, output, left)
            if folder is not None:
                require_as_measured(folder, _written(said))
        finally:
            # It knows no token, so it cannot have masked one. Nothing of it runs any more.
            left = left or _names_in(output) - before
            for name in sorted(left):
                sweep(output / name)
        if "no_duet" in said:
            reason, advice = (_text(part) for part in said["no_duet"])
            self._before, self._built = (Path(said[key]) if said.get(key) else None for key in ("before", "built"))
            raise NoDuetError(reason, advice)
        if folder is None:
            raise _nothing_left("it named no folder of its results")
        return Results(folder=folder)

    def _hide_secrets(self) -> None:
        """Know what the scenario reads as secrets: what the process prints and leaves is masked here."""
        inputs = self.inputs
        # The other process reports a scenario's faults.
        with contextlib.suppress(VelroError):
            prepare(asked_by(inputs, None), {**ANYWHERE, **os.environ}, run_code=False)


def _folder_of(said: Mapping[str, Any], output: Path, left: Collection[str]) -> Path | None:
    """The folder of results that the process has named, if it has made it."""
    folder = output / Path(_text(said.get("folder"))).name
    return folder if folder.name in left and folder.is_dir() and not folder.is_symlink() else None


def _written(said: Mapping[str, Any]) -> dict[str, str]:
    """What the process says it has written there: path and digest."""
    given = said.get("written")
    return {_text(name): _text(digest) for name, digest in given.items()} if isinstance(given, dict) else {}


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _carried_out(order: MeasureTask) -> Mapping[str, Any]:
    """What the process says at its end; when this returns or raises, nothing that it has started is left.

    Raises:
        VelroError: what it has ended with, or that it has ended without a word.
    """
    adopt_orphans()
    ours, theirs = socket.socketpair()
    said = bytearray()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", _START, json.dumps(sys.path), str(theirs.fileno())],
                env=bare(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        assert process.stdout is not None
        # Threads, since both pipes must be read while the process runs: one that is full would stop it.
        threads = [
            threading.Thread(target=_show, args=(process.stdout,), daemon=True),
            threading.Thread(target=_talk_with, args=(ours, order, said), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            code = _waited_for(process)
        finally:
            # Before anything is done with the token again, whatever way this block is left.
            leave_nothing(process.pid, GRACE, "" if order.user is None else order.user.name)
        for thread in threads:
            thread.join(GRACE)
    return _understood(bytes(said), code)


def _waited_for(process: subprocess.Popen[bytes]) -> int:
    """Its exit code. An interrupt is passed on, so that what was measured is kept."""
    interrupts = 0
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            interrupts += 1
            process.send_signal(signal.SIGINT if interrupts <= _INTERRUPTS else signal.SIGKILL)


def _talk_with(line: socket.socket, order: MeasureTask, said: bytearray) -> None:
    """Send the order, and add what comes back to ``said``."""
    try:
        line.sendall(pickle.dumps(order))
        while len(said) <= LONGEST_ANSWER and (more := line.recv(1 << 16)):
            said += more
    except OSError:
        # The other end is closed: its exit code says why.
        return


def _show(output: IO[bytes]) -> None:
    shown = talk()
    while line := output.readline(1 << 16):
        shown.write(line.decode("utf-8", "replace"))
        shown.flush()


def _understood(said: bytes, code: int) -> Mapping[str, Any]:
    try:
        answer = json.loads(said) if len(said) <= LONGEST_ANSWER else None
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise _nothing_left(f"it {how} and said nothing")
    if isinstance(error := answer.get("error"), dict):
        raise _error_from(error)
    if "fault" in answer:
        fault = RuntimeError(_text(answer["fault"]))
        fault.add_note(_text(answer.get("trace")))
        raise fault
    return answer


def _nothing_left(why: str) -> BrokenError:
    return BrokenError(
        "the process that measures ended without a result",
        why=why,
        hint="Code of a journey may have ended it (sys.exit, os._exit), or the kernel for lack of memory: see the log above.",
    )


def _error_from(said: Mapping[str, Any]) -> VelroError:
    """The error that the other process has ended with."""
    kinds = {kind.__name__: kind for kind in _kinds(VelroError)}
    kind = kinds.get(_text(said.get("kind")), BrokenError)
    # Without __init__: each kind takes arguments of its own, and only its class (the exit code) and its words are carried over.
    error = kind.__new__(kind)
    parts = {name: _text(said[name]) if said.get(name) else None for name in ("where", "why", "hint")}
    VelroError.__init__(error, _text(said.get("what")), **parts)
    if isinstance(error, ScenarioError):
        error.faults = tuple(_fault(each) for each in said.get("faults") or ())
    return error


def _kinds(top: type[VelroError]) -> list[type[VelroError]]:
    return [top, *(kind for each in top.__subclasses__() for kind in _kinds(each))]


def _fault(said: Any) -> Fault:
    where, what, suggestion = said
    return Fault(_text(where), _text(what), _text(suggestion) if suggestion else None)


def _text(said: object) -> str:
    return str(said)[:LONGEST_TEXT]
