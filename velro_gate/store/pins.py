"""Pins: baselines that are held on to as releases.

A pin is a file next to the baseline, with the same name but the ending ``.pin``, and contains the release's name. So pinning
changes no baseline, and two people who pin two of them do not meet.
"""

from __future__ import annotations

from pathlib import Path

from velro_gate import bounded
from velro_gate.errors import BaselineError
from velro_gate.store.files import unwritable, write_whole
from velro_gate.store.records import read_record

PIN = ".pin"


def pin_baseline(file: Path, release: str = "") -> str:
    """Pin a baseline as a release: it is not pruned, and the runs of main are compared with the newest pinned one.

    release: its name; empty: the revision's. The name under which it is pinned is returned.

    Raises:
        RecordError: it is not a baseline. BaselineError: it is quarantined. OutputError, StorageError: the pin cannot be
        written.
    """
    record = read_record(file)
    if record.quarantined:
        raise BaselineError("a quarantined run cannot be pinned", where=str(file), why=record.quarantined)
    name = " ".join(release.split()) or record.revision.label or record.revision.sha[:12] or record.id
    write_whole(file.with_suffix(PIN), f"{name}\n")
    return name


def unpin_baseline(file: Path) -> None:
    """Let a pinned baseline go.

    Raises:
        BaselineError: it is not pinned. OutputError: it cannot be let go.
    """
    pin = file.with_suffix(PIN)
    try:
        pin.unlink()
    except FileNotFoundError as error:
        hint = "'velro-gate baseline list' shows which baselines are pinned."
        raise BaselineError("the baseline is not pinned", where=str(file), hint=hint) from error
    except OSError as error:
        raise unwritable(pin, error) from error


_MOST_BYTES = 1 << 16
"""Bytes of a pin, which holds one line."""


def pinned_as(file: Path) -> str | None:
    """The release's name; None for a baseline that is not pinned. A pin that cannot be read holds all the same."""
    try:
        return bounded.read_text(file.with_suffix(PIN), _MOST_BYTES).strip() or file.stem
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        return file.stem
