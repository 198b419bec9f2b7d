"""The newest selftest of each environment, in a folder of the user that outlives a job's working folder.

``$XDG_CACHE_HOME/velro-gate/selftests/FINGERPRINT.json``, ``~/.cache`` where the variable is not set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from velro_gate.errors import RecordError
from velro_gate.model.record import fingerprint
from velro_gate.model.run import Environment
from velro_gate.model.selftest import Selftest
from velro_gate.store.codec import CodecError, decode_selftest, encode_selftest
from velro_gate.store.files import read_kept_text, write_whole

SELFTEST = "selftest.json"


def selftest_folder(environ: Mapping[str, str]) -> Path | None:
    """Where the selftests of this user's machine lie; None for a user without a home, as containers have them."""
    cache = environ.get("XDG_CACHE_HOME", "")
    # A relative path there is to be ignored, says the XDG Base Directory Specification.
    if Path(cache).is_absolute():
        return Path(cache) / "velro-gate" / "selftests"
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        # Neither the variable nor an entry in the table of users.
        return None
    return home / ".cache" / "velro-gate" / "selftests"


def write_selftest(path: Path, selftest: Selftest) -> None:
    """Keep a selftest in a file.

    Raises:
        RecordError: a figure is NaN or infinite. OutputError: no permission. StorageError: the disk is full.
    """
    try:
        text = encode_selftest(selftest)
    except CodecError as error:
        raise RecordError("the selftest cannot be kept", where=str(path), why=str(error)) from error
    write_whole(path, text)


def place_of(folder: Path, environment: Environment) -> Path:
    """The file of one environment's selftest."""
    return folder / f"{fingerprint(environment)}.json"


def read_selftest(path: Path) -> Selftest:
    """A selftest in a file.

    Raises:
        RecordError: there is none, or it is damaged or of another version.
    """
    try:
        return decode_selftest(read_kept_text(path, "selftest"))
    except FileNotFoundError as error:
        raise RecordError("there is no selftest", where=str(path)) from error
    except CodecError as error:
        raise RecordError("the selftest cannot be read", where=str(path), why=str(error)) from error


def known_selftest(folder: Path, environment: Environment) -> Selftest | None:
    """The newest selftest made in this environment; None when none was.

    Raises:
        RecordError: it is damaged or of another version.
    """
    path = place_of(folder, environment)
    hint = "Make a new one: 'velro-gate selftest'."
    try:
        found = decode_selftest(read_kept_text(path, "selftest", hint))
    except FileNotFoundError:
        return None
    except CodecError as error:
        raise RecordError("the selftest cannot be read", where=str(path), why=str(error), hint=hint) from error
    # A file that was copied from elsewhere says nothing about this machine.
    return found if fingerprint(found.environment) == fingerprint(environment) else None
