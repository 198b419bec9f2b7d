"""Reading and writing whole files: all or nothing, without secrets, and every failure in words."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from velro_gate import bounded
from velro_gate.errors import OutputError, RecordError, StorageError
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


def unwritable(path: Path, error: OSError) -> OutputError | StorageError:
    """What to raise when ``path`` cannot be written: a place that does not fit is the user's, a full disk the machine's."""
    why = error.strerror or str(error)
    if error.errno in _NO_PERMISSION:
        return OutputError(f"cannot write {path.name}", where=str(path), why=why)
    return StorageError(f"cannot keep {path.name}", where=str(path), why=why)


def read_text(path: Path, kind: str, hint: str = "") -> str:
    """The whole of a text file. kind: what it is to a reader, as in ``run record``.

    Raises:
        FileNotFoundError: it does not exist; what that means is the caller's to say. RecordError: it cannot be read.
    """
    try:
        return bounded.read_text(path)
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
        with _beside(path, text) as temporary:
            temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def create_whole(path: Path, text: str) -> None:
    """Create ``path`` with ``text`` at once, and only if nothing of that name exists.

    Raises:
        FileExistsError: it exists. OutputError: the place cannot be written. StorageError: the disk is full or fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path, text) as temporary:
            _link(temporary, path)
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
def _beside(path: Path, text: str | bytes) -> Iterator[Path]:
    """A temporary file in the same folder, written through to the disk; gone afterwards unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        # Half a character, as bytes of another encoding become in the environment, is written as JSON escapes it.
        with os.fdopen(handle, "wb") as file:
            file.write(text if isinstance(text, bytes) else _written(path, text))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
