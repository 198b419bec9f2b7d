"""The error tree: one class, one exit code, one hint.

Every error that a user can cause or meet is one of these. The command line prints it as four lines (what, where, why, what
to do) and exits with its code; nothing else ever reaches a user as a traceback. Exit code 70 is kept for our own bugs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar


def words_of(error: BaseException) -> str:
    """An exception's type and what it says. Other people's code may have made one that cannot say anything."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 (whatever it is)
        said = "it cannot be shown"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An error and everything it came from, through causes, contexts and groups; each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        # Contexts may form circles, where an error was raised while itself was handled.
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__context__, current.__cause__]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions


class VelroError(Exception):
    """Something a user can understand and fix.

    Args:
        what: one sentence, what went wrong.
        where: the place, as ``file:line``, a URL or a phase, if there is one.
        why: the likely reason, if one is known.
        hint: what to do; the class's own hint stands in when none is given.

    log: the log of the run that it ended, as a path; None: no run had begun.
    """

    exit_code: ClassVar[int] = 70
    default_hint: ClassVar[str] = "This is a fault of velro-gate itself: please report it with the log file."

    def __init__(self, what: str, *, where: str | None = None, why: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.hint = hint or self.default_hint
        self.log: str | None = None

    def lines(self, begin: str = "error") -> list[str]:
        """The message as lines for a terminal, the most important first. begin: what it is called where it ends nothing."""
        shown = [f"{begin}: {self.what}"]
        if self.where:
            shown.append(f"where: {self.where}")
        if self.why:
            shown.append(f"why:   {self.why}")
        if self.log:
            shown.append(f"log:   {self.log}")
        shown.append(f"do:    {self.hint}")
        return shown

    def __str__(self) -> str:
        return "\n".join(self.lines())


class UsageError(VelroError):
    """The command line or the configuration asks for something that cannot be."""

    exit_code = 2
    default_hint = "See 'velro-gate --help' for the options and an example of each command."


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in a file: where, what, and what may have been meant."""

    where: str
    what: str
    suggestion: str | None = None

    def __str__(self) -> str:
        tail = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.where}: {self.what}{tail}"


class ScenarioError(UsageError):
    """A scenario file that cannot be used; carries every fault that was found, not just the first."""

    default_hint = "Fix the lines above; 'velro-gate check SCENARIO' validates a file without sending anything."

    def __init__(self, path: str, faults: Sequence[Fault]) -> None:
        count = len(faults)
        super().__init__(f"{path} has {count} fault{'s' if count != 1 else ''}")
        self.faults = tuple(faults)

    def lines(self, begin: str = "error") -> list[str]:
        """Every fault on a line of its own, then the hint."""
        return [f"{begin}: {self.what}", *(f"  {fault}" for fault in self.faults), f"do:    {self.hint}"]


class MissingVariableError(UsageError):
    """An environment variable that the scenario needs is not set."""

    default_hint = "Set the variable in the environment; secrets are read from there only, never from a file."


class JourneyError(UsageError):
    """The code of a journey written in Python is at fault."""

    default_hint = "Fix the journey's code; a service's errors are not faults of the journey, see docs/scenario.md."


class OutputError(UsageError):
    """The place for the results cannot be written."""

    default_hint = "Choose another place (--output, --baselines), or give this user permission to write there."


class BaselineError(UsageError):
    """A baseline file that was named cannot be used."""

    default_hint = "Remove the file, or record it again with 'velro-gate baseline add'."


class RecordError(UsageError):
    """A run record that was named cannot be read."""

    default_hint = "Name a folder that 'velro-gate run' or 'velro-gate gate' has written."


class GateFailedError(VelroError):
    """The gate says no to something that was asked for, for example to storing a regression as a baseline."""

    exit_code = 1
    default_hint = "Fix the problems listed above, or accept them explicitly."


class BrokenError(VelroError):
    """The measurement cannot be made or cannot be trusted."""

    of_base: bool = False
    """The base build of a duet does not work, so there is nothing to compare the head build with."""
    exit_code = 4
    default_hint = "Nothing was measured, so nothing is judged: fix the cause and run again."


class UnreachableError(BrokenError):
    """The service under test cannot be reached or is not healthy."""

    default_hint = "Start the service, check its URL (--url or VELRO_API_URL), and try 'curl -i URL/health'."


class InfeasibleError(BrokenError):
    """This machine cannot carry out the plan; the message holds the number that is short."""

    default_hint = "Raise the limit that is short, or choose a smaller profile with --profile."


class StorageError(BrokenError):
    """The results could not be kept, for example because the disk is full."""

    default_hint = "Free some space, or choose another place with --output."


class PublishError(VelroError):
    """The verdict is reached and kept, but publishing it failed."""

    exit_code = 5
    default_hint = "The verdict stands and is in the results folder; fix the permission or the network and publish again."


class InterruptedRunError(VelroError):
    """The user or the system asked the run to end; what was measured until then is kept."""

    exit_code = 130
    default_hint = "The partial record is kept and marked as such; it cannot become a baseline."
