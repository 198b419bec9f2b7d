"""The results folder of one run: made, and proven writable, before the first request is sent."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from velro_gate.errors import OutputError, StorageError

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
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise unwritable(path, error) from error
        return path


def unwritable(path: Path, error: OSError) -> OutputError | StorageError:
    """The error to raise when ``path`` could not be written."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if isinstance(error, (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError)):
        return OutputError(f"cannot write {path.name}", where=str(path), why=reason)
    return StorageError(f"cannot keep {path.name}", where=str(path), why=reason)


def run_id(started: datetime, scenario: str, profile: str) -> str:
    """A name that sorts by time and says what was run."""
    clean = "".join(c if c.isalnum() or c in "-_" else "-" for c in f"{scenario}-{profile}")
    return f"{started:%Y%m%dT%H%M%SZ}-{clean}"


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


class RunLog:
    """Sends the package's log records to a run's file for as long as the ``with`` block lasts."""

    def __init__(self, results: Results) -> None:
        self._handler = logging.FileHandler(results.log, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter(LOG_FORMAT))
        self._logger = logging.getLogger("velro_gate")

    def __enter__(self) -> logging.Logger:
        self._logger.addHandler(self._handler)
        if self._logger.level == logging.NOTSET:
            self._logger.setLevel(logging.INFO)
        return self._logger

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)
        self._handler.close()
