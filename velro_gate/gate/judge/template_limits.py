"""What a template that somebody else wrote may take: a verdict waits for none, and no machine runs out of memory over one."""

from __future__ import annotations

import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 10.0
"""How long one may take; the largest of ours takes less than one."""
MEMORY = 1 << 30
"""Bytes by which this process may grow meanwhile."""


class TemplateTimeoutError(Exception):
    """It took too long."""


@contextmanager
def template_limits(seconds: float = SECONDS) -> Iterator[None]:
    """In the block Python code that takes longer, or too much memory, ends with an exception; on Linux, in the main thread.

    One call into C is not interrupted: the sandbox of templates refuses those that could take long.

    Raises:
        TemplateTimeoutError: it took longer. MemoryError: the process grew by more than ``MEMORY``.
    """
    # Signals reach the main thread only, and every template is rendered there.
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _too_long)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    bounded = min(one for one in (most, soft, hard) if one != resource.RLIM_INFINITY)
    try:
        try:
            resource.setrlimit(resource.RLIMIT_AS, (bounded, hard))
            # Again each second: Python drops an exception that is raised while an object is deleted.
            signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
            yield
        finally:
            # An alarm may come just before this. What follows is done all the same, and the next one is a second away.
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


def _too_long(*_: object) -> None:
    raise TemplateTimeoutError("it took too long")
