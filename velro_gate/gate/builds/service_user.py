"""Another user for builds and services, so that what they run can read neither the gate's processes nor the runner's files.

Rules. That user gets a folder of its own with copies of the code, never a right to the workspace. A copy has no ``.git``: git
obeys the configuration that it finds there, and ``actions/checkout`` may have left the job's token in it. Everything in the
folder belongs to that user, and it is removed by that user.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from velro_gate.errors import BrokenError, UsageError
from velro_gate.gate.builds.supervisor import as_user
from velro_gate.model.duet import Side

_TEMPORARY = Path("/tmp")  # noqa: S108 (mktemp makes a folder there that is nobody else's)
_MAKE = (
    f"d=$(mktemp -d -p {_TEMPORARY} velro-service-XXXXXXXX) && "
    'mkdir "$d/home" "$d/tmp" "$d/build-base" "$d/build-head" && echo "$d"'
)
_REMOVE_SECONDS = 120.0
"""How long removing a checkout may take: with dependencies it has a hundred thousand files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUser:
    """A user that builds and services run as, and the folder that is its own."""

    name: str
    place: Path

    def code(self, side: Side) -> Path:
        """Where the copy of a build's code lies."""
        return self.place / side.value

    def build_folder(self, side: Side) -> Path:
        """The folder that a build has for itself."""
        return self.place / f"build-{side.value}"

    def copy(self, folder: Path, side: Side) -> Path:
        """Copy a folder, without its ``.git``, to where that user may read and write it; the copy.

        Raises:
            BrokenError: it cannot be read or written.
        """
        target = self.code(side)
        unpack = f"rm -rf {target} && mkdir {target} && exec tar --extract --directory {target}"
        pack = ["tar", "--create", "--anchored", "--exclude=./.git", "--directory", str(folder), "."]
        with subprocess.Popen(pack, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as packing:
            unpacked = run_as(self.name, ["/bin/sh", "-c", unpack], stdin=packing.stdout)
            # Without a reader it ends.
            assert packing.stdout is not None
            packing.stdout.close()
            assert packing.stderr is not None
            said = packing.stderr.read().decode("utf-8", "replace")
        if packing.returncode or unpacked.returncode:
            raise BrokenError(
                f"the {side.value} build's code cannot be copied for the user {self.name}",
                where=str(folder),
                why="\n".join(filter(None, (said.strip(), unpacked.stderr.strip())))[-2_000:] or None,
                hint=f"It is copied by tar to {target}: check the space on that disk, and that the runner can read all files.",
            )
        return target

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables that name the user and its folders."""
        return {
            "HOME": str(self.place / "home"),
            "TMPDIR": str(self.place / "tmp"),
            "USER": self.name,
            "LOGNAME": self.name,
        }


@contextmanager
def service_user(name: str) -> Iterator[ServiceUser]:
    """That user, with a new folder, which is removed afterwards.

    Raises:
        UsageError: there is no such user, it would protect nothing, or this user cannot run anything as that one.
    """
    where = "service-user"
    try:
        known = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(
            f"there is no user {name} on this machine",
            where=where,
            hint="Name one that is used for nothing else, such as nobody, or create one: useradd --system NAME.",
        ) from None
    if known.pw_uid in (0, os.geteuid()):
        raise UsageError(
            f"the user {name} offers no protection",
            where=where,
            why="it is root" if known.pw_uid == 0 else "the gate runs as that user itself",
            hint="Name a user without rights of its own, such as nobody.",
        )
    place = _made(name)
    try:
        yield ServiceUser(name=name, place=place)
    finally:
        # Caches of packages are often read-only, which keeps even their owner from removing them.
        run_as(name, ["/bin/sh", "-c", f"chmod -R u+rwx {place}; exec rm -rf {place}"], seconds=_REMOVE_SECONDS)


def _made(name: str) -> Path:
    made = run_as(name, ["/bin/sh", "-c", _MAKE])
    place = Path(made.stdout.strip())
    if made.returncode or place.parent != _TEMPORARY or not re.fullmatch(r"velro-service-\w+", place.name):
        raise UsageError(
            f"nothing can be run as the user {name}",
            where="service-user",
            why=made.stderr.strip()[-2_000:] or f"it ended with exit code {made.returncode}",
            hint="Let the job run as root (in a container), or allow the runner's user to switch, by a file in /etc/sudoers.d: "
            f"'#{os.geteuid()} ALL=({name}) NOPASSWD: ALL'. Or leave service-user out.",
        )
    return place


def run_as(
    name: str, command: Sequence[str], *, stdin: IO[bytes] | None = None, seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """A command of ours, run as that user, without this process's environment; one that does not start ends with 126."""
    line, user = as_user(name, command)
    try:
        return subprocess.run(
            line,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
            timeout=seconds if stdin is None else None,
            **user,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess(line, 126, "", str(error))
