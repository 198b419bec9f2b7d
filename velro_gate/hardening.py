"""What a process does first, so that nothing it starts, and no other process of its user, finds the job's token in it.

- The token and the ways to later steps are taken out of the environment, before anything is started.
- ``/proc/PID/environ`` shows the block that a process was started with, whatever it removes later. So the values there are
  overwritten.
- The process is made not dumpable (Linux, PR_SET_DUMPABLE): without CAP_SYS_PTRACE nobody, of the same user either, reads its
  memory, its environment or its descriptors, or attaches to it.

This module needs the standard library only, since it runs before anything else is imported. What it cannot keep out: root
with that capability, and whoever looked before this process was there.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Mapping

TOKEN = "VELRO_TOKEN"  # noqa: S105 (the name of the variable)
WEBHOOK = ("VELRO_WEBHOOK_URL", "VELRO_WEBHOOK_KEY")
"""The address that alerts are sent to, which is a secret as well, and the key that signs them."""
PUSHED = ("VELRO_PUSH_URL", "VELRO_PUSH_TOKEN", "VELRO_REMOTE_WRITE_URL", "VELRO_REMOTE_WRITE_TOKEN")
"""Where figures are pushed to, and the tokens for it."""
GITLAB = "VELRO_GITLAB_TOKEN"
"""The token that writes a note on a merge request."""
RUNNER_FILES = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
"""Variables with the files by which a step changes the steps after it."""

_FAMILIES = ("INPUT_", "ACTIONS_")
"""What a runner passes to an action only: its inputs, and the runner's own services with their tokens."""

_BARE = frozenset({"PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG", "LANGUAGE", "TZ", "SYSTEMROOT"})

_PR_SET_DUMPABLE = 4
"""From linux/prctl.h: 0 keeps other processes of the same user from reading this one's memory and /proc/PID/environ (prctl(2),
ptrace(2)).
"""

_withheld: dict[str, str] = {}


def withheld() -> Mapping[str, str]:
    """What was taken out of the environment, by name: for this process alone."""
    return _withheld


def harden(more: Iterable[str] = ()) -> None:
    """Take out of the environment what is nobody else's, and close this process to others where there was any.

    more: further variables to take out. Doing it again does no harm.
    """
    # Outside of a job a user's own variables may be called like a runner's.
    in_job = os.environ.get("GITHUB_ACTIONS") == "true"
    wanted = {TOKEN, *WEBHOOK, *PUSHED, GITLAB, *more, *(RUNNER_FILES if in_job else ())}
    names = [name for name in os.environ if name in wanted or (in_job and name.startswith(_FAMILIES))]
    for name in names:
        _withheld[name] = os.environ[name]
        _overwrite(name)
        del os.environ[name]
    if names:
        close_to_others()


def bare(environ: Mapping[str, str]) -> dict[str, str]:
    """What an interpreter of ours needs to start. All else reaches it in a way that nobody else can read."""
    return {name: value for name, value in environ.items() if name in _BARE or name.startswith("LC_")}


def close_to_others() -> None:
    """Make this process not dumpable, where the system knows that."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def ignore_unreadable_cookies() -> None:
    """A cookie that the standard library cannot read is not kept. That it prints a traceback as well helps nobody."""
    warnings.filterwarnings("ignore", message=r"http\.cookiejar bug!")


def _overwrite(name: str) -> None:
    """Put zeros in the place of a value in the block that the kernel shows."""
    import ctypes

    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    address = getenv(os.fsencode(name))
    if address:
        ctypes.memset(address, 0, len(os.fsencode(os.environ[name])))
