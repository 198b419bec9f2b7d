"""Reading and writing whole files: all or nothing, without secrets, and every failure in words."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from velro_gate import bounded
from velro_gate.errors import BrokenError, OutputError, RecordError, StorageError
from velro_gate.secrecy import outgoing, outgoing_json

RECORD = "record.json"
"""The summary of a run, in its folder."""

_NO_PERMISSION = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


@dataclass(slots=True)
class _Account:
    kept: dict[Path, str] | None = None


_ACCOUNT = _Account()
"""What this process has written, by the digest of each file: see ``keep_account``."""


def keep_account() -> None:
    """From now on remember what is written, and refuse to read it changed.

    For a job, in which code of the change runs at the same time as the same user, and can write wherever we can.
    """
    _ACCOUNT.kept = {}


def accounted(folder: Path) -> dict[str, str]:
    """The digests of the files below a folder that this process has written, by their paths in it."""
    place = folder.absolute()
    known = (_ACCOUNT.kept or {}).items()
    return {path.relative_to(place).as_posix(): digest for path, digest in known if path.is_relative_to(place)}


def account_for(path: Path, digest: str) -> None:
    """Remember what was written."""
    if _ACCOUNT.kept is not None:
        _ACCOUNT.kept[path.absolute()] = digest


def require_unchanged(path: Path, digest: str) -> None:
    """Refuse what is read if this process has written something else.

    Raises:
        BrokenError: somebody has changed the file since.
    """
    if (_ACCOUNT.kept or {}).get(path.absolute(), digest) != digest:
        raise changed_since(path)


def changed_since(path: Path) -> BrokenError:
    """What to raise where a file is not what we have written."""
    return BrokenError(
        f"{path.name} is not what was measured",
        where=str(path),
        why="another process has changed it, or put it there, since the run",
        hint="See whether a build, the service or a journey writes into the folder of the results; service-user prevents it.",
    )


def digest_of(content: bytes) -> str:
    """Of a file's content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def unwritable(path: Path, error: OSError) -> OutputError | StorageError:
    """What to raise when ``path`` cannot be written: a place that does not fit is the user's, a full disk the machine's."""
    why = error.strerror or str(error)
    if error.errno in _NO_PERMISSION:
        return OutputError(f"cannot write {path.name}", where=str(path), why=why)
    return StorageError(f"cannot keep {path.name}", where=str(path), why=why)


def read_kept_text(path: Path, kind: str, hint: str = "") -> str:
    """The whole of a text file. kind: what it is to a reader, as in ``run record``.

    Raises:
        FileNotFoundError: it does not exist; what that means is the caller's to say. RecordError: it cannot be read.
    """
    try:
        content = bounded.read_bytes(path)
        require_unchanged(path, digest_of(content))
        return content.decode("utf-8")
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise RecordError(f"the {kind} cannot be read", where=str(path), why="it is not a text file", hint=hint) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise RecordError(f"the {kind} cannot be read", where=str(path), why=why, hint=hint) from error


def write_whole(path: Path, text: str | bytes) -> None:
    """Replace ``path`` at once: a reader sees the old content or the new one, and a crash leaves no half. Bytes are not masked.

    Raises:
        OutputError: the place cannot be written. StorageError: the disk is full or fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = text if isinstance(text, bytes) else _written(path, text)
        with _temporary(path, content) as temporary:
            temporary.replace(path)
        account_for(path, digest_of(content))
    except OSError as error:
        raise unwritable(path, error) from error


def create_whole(path: Path, text: str) -> None:
    """Create ``path`` with ``text`` at once, and only if nothing of that name exists.

    Raises:
        FileExistsError: it exists. OutputError: the place cannot be written. StorageError: the disk is full or fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _written(path, text)
        with _temporary(path, content) as temporary:
            _link(temporary, path)
        account_for(path, digest_of(content))
    except FileExistsError:
        if path.exists():
            raise
        raise OutputError(f"cannot write {path.name}", where=str(path), why="a file is in the place of a folder") from None
    except OSError as error:
        raise unwritable(path, error) from error


def _link(temporary: Path, path: Path) -> None:
    """Give the finished file its name. Unlike a rename, a link fails when another process has just taken the name."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without links: reserve the name first, then put the file over it.
        path.touch(exist_ok=False)
        temporary.replace(path)


def _written(path: Path, text: str) -> bytes:
    masked = outgoing_json(text) if path.suffix == ".json" else outgoing(text)
    return masked.encode("utf-8", "backslashreplace")


@contextlib.contextmanager
def _temporary(path: Path, content: bytes) -> Iterator[Path]:
    """A temporary file in the same folder, written through to the disk; gone afterwards unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        # Half a character, as bytes of another encoding become in the environment, is written as JSON escapes it.
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
