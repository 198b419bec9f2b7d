"""The supervisor: a process that starts one command and sees to it that nothing of it is left, however its master ends.

Rules of this module:

- It is started as a file and imports nothing but the standard library, so that it is there at once and nothing can be missing.
- The command runs in a session of its own: it gets no signal meant for its parent's terminal or group.
- Whatever the command starts and leaves behind becomes a child of the supervisor (Linux, PR_SET_CHILD_SUBREAPER), so that it is
  found even when it has left the group.
- It ends when its standard input does, by SIGTERM, or when the command has ended. Then all that is left gets SIGTERM, and after
  the grace SIGKILL.

- The command may belong to another user, who has no say over the supervisor. What the supervisor may not signal then, a
  process of that user's own signals for it.

Usage: supervisor.py GRACE COMMAND [USER DIRECTORY]. It prints ``{"ended": CODE}`` when the command ends by itself; a negative
code is a signal. What the command prints goes to the supervisor's standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import select
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h: orphaned descendants become children of this process (prctl(2)), so that it can find and end them."""
_PROC = Path("/proc")
_LOOK_EVERY = 0.02
"""Seconds between two looks at whether all descendants have ended."""
_KILL_SECONDS = 5.0
"""How long processes may take to be gone after SIGKILL: one in an uninterruptible wait goes only after it."""
_ASK_SECONDS = 5.0
"""How long the other user's process may take that signals what this one may not."""
_UNTRANSFERABLE = ("XDG_", "SUDO_")


def main(grace: float, command: str, user: str = "", directory: str = "") -> None:
    """Run the command until it ends or the master does; then leave nothing of it."""
    adopt_orphans()
    woken = _wake_on(signal.SIGCHLD, signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    child = _started_as(user, command, directory) if user else _started(command)
    code = _wait(child, woken)
    if code is not None:
        _say(ended=code)
    leave_nothing(child.pid, grace, user)


def _started(command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*_shell(), command], stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, start_new_session=True
    )


def _started_as(user: str, command: str, directory: str) -> subprocess.Popen[bytes]:
    """The command, in a shell of another user, which reads its variables: as arguments everybody could read them."""
    log = sys.stderr.fileno()
    if stat.S_ISREG(os.fstat(log).st_mode):
        # Who logs to /dev/stderr opens this file, which has no name, once more.
        with contextlib.suppress(OSError):
            os.fchmod(log, 0o666)
    line, rights = as_user(user, ["/bin/sh", "-s"])
    child = subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        stderr=sys.stderr,
        start_new_session=True,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd="/",
        **rights,
    )
    assert child.stdin is not None
    # If the shell cannot be started, the command ends at once, and its exit code is reported.
    with contextlib.suppress(OSError), child.stdin as script:
        script.write(_script([*_shell(), command], directory).encode("utf-8", "surrogateescape"))
    return child


def _script(line: Sequence[str], directory: str) -> str:
    settings = [
        f"export {name}={shlex.quote(value)}"
        for name, value in os.environ.items()
        if name.isidentifier() and name.isascii() and not name.startswith(_UNTRANSFERABLE)
    ]
    return "\n".join([*settings, f"cd -- {shlex.quote(directory)} || exit 126", f"exec {shlex.join(line)} </dev/null", ""])


def as_user(name: str, command: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """A command line, and arguments for ``subprocess.Popen``, that run a command as another user: root may, others need sudo.

    Raises:
        KeyError: there is no such user.
    """
    if os.geteuid() != 0:
        return ["sudo", "-n", "-u", name, "--", *command], {}
    known = pwd.getpwnam(name)
    groups = os.getgrouplist(name, known.pw_gid)
    return [*command], {"user": known.pw_uid, "group": known.pw_gid, "extra_groups": groups}


def adopt_orphans() -> None:
    """Become the parent of whatever descendants leave behind, where the system knows that."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _shell() -> list[str]:
    """The shell as GitHub runs a block: of several lines the first that fails ends it."""
    bash = shutil.which("bash")
    if bash is None:
        return ["/bin/sh", "-e", "-c"]
    return [bash, "--noprofile", "--norc", "-e", "-o", "pipefail", "-c"]


def _wake_on(*numbers: signal.Signals) -> int:
    """A descriptor that says which of the signals have come, a byte each."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return woken


def _wait(child: subprocess.Popen[bytes], woken: int) -> int | None:
    """The command's exit code; None when the leash ended first."""
    leash = sys.stdin.fileno()
    while True:
        ready, _, _ = select.select([leash, woken], [], [])
        if woken in ready:
            code = child.poll()
            if code is not None:
                return code
            # Only after the child: a SIGTERM that comes with its end must not hide its exit code.
            if signal.SIGTERM in os.read(woken, 4_096):
                return None
            _reap(child.pid)
        if leash in ready and not os.read(leash, 1):
            return None


def leave_nothing(group: int, grace: float, user: str = "") -> None:
    """End a group and everything that has this process as an ancestor: by SIGTERM, and after the grace by SIGKILL.

    user: to whom some of them may belong.
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_SECONDS)):
        _signal_all(group, number, user)
        deadline = time.monotonic() + seconds
        while _anything_left(group):
            if time.monotonic() > deadline:
                break
            time.sleep(_LOOK_EVERY)
            if number is signal.SIGKILL:
                # What was started while the others were ended.
                _signal_all(group, number, user)
        else:
            return


def _anything_left(group: int) -> bool:
    _reap()
    if any(True for _ in _descendants()):
        return True
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Somebody else's; what can be found of it is found among the descendants.
        return False
    return True


def _signal_all(group: int, number: signal.Signals, user: str) -> None:
    refused: list[int] = []
    try:
        os.killpg(group, number)
    except PermissionError:
        refused.append(-group)
    except ProcessLookupError:
        pass
    own = os.getpid()
    for pid in _descendants():
        try:
            # Those of the command's group have had theirs, unless they belong to another user.
            if pid != own and (user or os.getpgid(pid) != group):
                os.kill(pid, number)
        except PermissionError:
            refused.append(pid)
        except ProcessLookupError:
            continue
    if refused and user:
        _signal_by(user, number, refused)


def _signal_by(user: str, number: signal.Signals, wanted: Sequence[int]) -> None:
    """Have processes signalled by one of their own user."""
    with contextlib.suppress(KeyError, OSError, subprocess.SubprocessError):
        each = f'for p in {" ".join(map(str, wanted))}; do kill -s {number.name.removeprefix("SIG")} -- "$p"; done'
        line, rights = as_user(user, ["/bin/sh", "-c", each])
        subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
            check=False,
            timeout=_ASK_SECONDS,
            **rights,
        )


def _reap(spare: int | None = None) -> None:
    """Take leave of those that have ended; ``spare`` is asked for its code elsewhere."""
    for pid in list(_children_of({os.getpid()})):
        if pid != spare:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _descendants() -> Iterator[int]:
    """Everything that has the supervisor as an ancestor."""
    known = {os.getpid()}
    while found := set(_children_of(known)) - known:
        yield from found
        known |= found


def _children_of(parents: set[int]) -> Iterator[int]:
    if not _PROC.is_dir():
        return
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                # The name in brackets may hold anything; the state and the parent follow it.
                words = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(words[1]) in parents:
                yield int(entry.name)


def _say(**what: int) -> None:
    # Nobody may be there to read it any more.
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:5])
