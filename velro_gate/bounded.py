"""Files that somebody else may have written, read whole, up to a size: a link to ``/dev/zero`` fits into a pull request.

A pipe is read where a user names one at a terminal. In the folder of a run, where a build may have left anything, a file is
a regular one or is not read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 1 << 28
"""Of a file in the folder of a run."""
MOST_WRITTEN = 1 << 23
"""Of what people write by hand, such as a scenario."""


def open_regular(path: Path) -> BinaryIO:
    """A regular file, opened for reading.

    Raises:
        OSError: it cannot be opened, or is something else (IsADirectoryError: a folder).
    """
    # A pipe that nobody writes to must not be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: it cannot be read, is longer, or is something else.
    """
    with open_regular(path) as file:
        return _whole(file.read(most + 1), path, most)


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The same as UTF-8 text.

    Raises:
        OSError: see ``read_bytes``. UnicodeDecodeError: it is another kind of text, or none.
    """
    return read_bytes(path, most).decode("utf-8")


def read_written(path: Path, most: int = MOST_WRITTEN) -> str:
    """The text of a file that a user names, without the mark that some editors begin it with. It may be a pipe.

    Raises:
        OSError: it cannot be read, or is longer. UnicodeDecodeError: it is not UTF-8 text.
    """
    with path.open("rb") as file:
        text = _whole(file.read(most + 1), path, most).decode("utf-8-sig")
    # As a file that is opened as text is read.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _whole(content: bytes, path: Path, most: int) -> bytes:
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is longer than {most >> 20} MiB", str(path))
    return content
