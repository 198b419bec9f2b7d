"""The results folder of one run: made, and proven writable, before the first request is sent."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from velro_gate import bounded
from velro_gate.bounded import open_regular
from velro_gate.errors import OutputError, VelroError
from velro_gate.model.masking import mask
from velro_gate.secrecy import outgoing, outgoing_json
from velro_gate.store.facts import FACTS, sweep_facts
from velro_gate.store.files import changed_since, digest_of, unwritable, write_whole
from velro_gate.store.samples import MEMBERS, members_digest

_MOST_SWEPT = 1 << 26
"""Bytes of a file that is masked; nothing that a run writes itself is as long."""

_DATA = (".json", ".npz")
"""Endings of what is judged."""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Paths inside ``<root>/<run id>/``."""

    folder: Path

    @property
    def samples(self) -> Path:
        """The samples, column by column."""
        return self.folder / "samples.npz"

    @property
    def log(self) -> Path:
        """What happened, line by line, without secrets."""
        return self.folder / "log.txt"

    def write(self, name: str, text: str) -> Path:
        """Write one file whole.

        Raises:
            StorageError: the disk is full or fails. OutputError: no permission.
        """
        path = self.folder / name
        write_whole(path, text)
        return path


def run_id(started: datetime, scenario: str, profile: str) -> str:
    """A name that sorts by time and says what was run. The fraction distinguishes jobs that begin in the same second."""
    clean = "".join(c if c.isalnum() or c in "-_" else "-" for c in f"{scenario}-{profile}")
    return f"{started:%Y%m%dT%H%M%S.%fZ}-{clean}"


def make_results(root: Path, name: str) -> Results:
    """Create the folder of a run, with a number behind the name when it is taken, and open its log.

    Raises:
        OutputError: the place cannot be written. StorageError: the disk is full.
    """
    folder = root / name
    try:
        root.mkdir(parents=True, exist_ok=True)
        attempt = 1
        while True:
            try:
                folder.mkdir()
                break
            except FileExistsError:
                attempt += 1
                folder = root / f"{name}-{attempt}"
        results = Results(folder=folder)
        results.log.touch()
    except OSError as error:
        raise unwritable(folder, error) from error
    return results


def refuse_links(root: Path, workspace: Path) -> None:
    """Refuse a place for results that a link in the workspace leads away: a proposed change could name any folder that way.

    Raises:
        OutputError: a part of the path below the workspace is a symbolic link.
    """
    place = workspace / root
    if not place.is_relative_to(workspace):
        return
    for part in (place, *place.parents):
        if part == workspace:
            return
        if part.is_symlink():
            raise OutputError(
                "the folder for the results is a symbolic link",
                where=str(part),
                why="what a job writes there would end up where the link points",
                hint="Remove the link from the repository, or name another folder in the input output.",
            )


def require_as_measured(folder: Path, written: Mapping[str, str]) -> None:
    """Refuse what another process has left in a folder if it is not what the process that measured says it has written there.

    Only while nothing runs any more that could change it.

    Raises:
        BrokenError: data is missing, was changed, or was put there by somebody else.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        # A link could lead to data outside of the folder, which may change after this look.
        if path.suffix in _DATA and (path.is_symlink() or _digest(path, written.get(name, "")) != written.get(name)):
            raise changed_since(path)
    for name in written:
        if not (folder / name).is_file():
            raise changed_since(folder / name)


def _digest(path: Path, known: str) -> str | None:
    """The digest of a file, made as a known one was."""
    try:
        if known.startswith(MEMBERS):
            with open_regular(path) as file, zipfile.ZipFile(file) as stored:
                return members_digest(stored)
        return digest_of(bounded.read_bytes(path))
    except (OSError, ValueError, RuntimeError, KeyError, EOFError, struct.error, zlib.error, zipfile.BadZipFile):
        return None


def sweep(folder: Path) -> None:
    """Mask whatever text lies in a folder that another process has left. Samples are numbers and stay.

    Raises:
        OutputError, StorageError: a file cannot be written.
    """
    for path in sorted(folder.rglob("*")):
        if path.name == FACTS and path.is_file() and not path.is_symlink():
            sweep_facts(path)
        if path.suffix == ".npz" or path.is_symlink() or not path.is_file():
            continue
        try:
            content = bounded.read_bytes(path, _MOST_SWEPT)
        except OSError:
            # Nobody knows what lies in it.
            path.unlink(missing_ok=True)
            continue
        # Bytes that are not text come back as they were.
        text = content.decode("utf-8", "surrogateescape")
        masked = outgoing_json(text) if path.suffix == ".json" else outgoing(text)
        if masked != text:
            path.write_bytes(masked.encode("utf-8", "surrogateescape"))


class _Masking(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(LOG_FORMAT)
        self._secrets = frozenset(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """The whole entry, traceback included, without secrets."""
        return outgoing(mask(super().format(record), self._secrets))


def log_end(log: logging.Logger, results: Results, error: VelroError) -> None:
    """Log the error that ends a run, which from now on names the log."""
    log.error("%s", error)
    error.log = str(results.log)


def append_log(results: Results, entries: Iterable[tuple[int, str]]) -> None:
    """Add lines to the log of a run that has ended, each with its level, masked. A log that cannot be written is left as it is.

    What measured may have left anything under the log's name: nothing but a regular file is written to.
    """
    formatter = _Masking(())
    lines = [formatter.format(logging.LogRecord("velro_gate", level, "", 0, text, None, None)) for level, text in entries]
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    with contextlib.suppress(OSError):
        descriptor = os.open(results.log, flags, 0o644)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="replace") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                file.writelines(f"{line}\n" for line in lines)


class _Quiet(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the standard library's name)
        """Nothing: a full disk is reported elsewhere, and a traceback for each log line would bury that."""


class RunLog:
    """Sends the package's log records to a run's file for as long as the ``with`` block lasts, every line masked.

    secrets: what must not get into the file, whoever logs it, tracebacks of foreign errors included.
    """

    def __init__(self, results: Results, secrets: Iterable[str] = ()) -> None:
        self._handler = _Quiet(results.log, encoding="utf-8")
        self._handler.setFormatter(_Masking(secrets))
        self._logger = logging.getLogger("velro_gate")

    def __enter__(self) -> logging.Logger:
        self._logger.addHandler(self._handler)
        if self._logger.level == logging.NOTSET:
            self._logger.setLevel(logging.INFO)
        return self._logger

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)
        # On a full disk, closing fails as writing did; the run goes on without its last log lines.
        with contextlib.suppress(OSError):
            self._handler.close()
