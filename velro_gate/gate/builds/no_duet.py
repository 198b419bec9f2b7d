"""Why two builds cannot be measured side by side. The stored baselines are there, so it is a reason and no error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from velro_gate.errors import BrokenError, InfeasibleError


class NoDuetError(Exception):
    """There can be no duet; the message is the reason. advice: what to do."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


@contextmanager
def no_duet_without_a_base() -> Iterator[None]:
    """Turns a duet that does not fit, or without a base build, into NoDuetError; a fault of the head build stays an error.

    Raises:
        NoDuetError: instead of InfeasibleError, and of BrokenError if the base build is the cause.
    """
    try:
        yield
    except InfeasibleError as error:
        raise NoDuetError(error.what, error.hint) from error
    except BrokenError as error:
        if not error.of_base:
            raise
        raise NoDuetError(f"{error.what} ({error.why})" if error.why else error.what, error.hint) from error
