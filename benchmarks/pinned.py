"""Become another program: on one core, with all the descriptors that are allowed, and never longer than the parent.

Used as a file, ``python -I pinned.py CORE COMMAND...`` (CORE ``-``: any), so that nothing has to run between fork and exec.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h; kept across exec


def main(core: str, *command: str) -> None:
    """Set up this process, then be the command."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if core != "-":
        os.sched_setaffinity(0, {int(core)})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
