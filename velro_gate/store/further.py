"""Kept with a record: the runs or the duet that confirm it (``repeats/``), and why some are not there
(``confirmation.json``)."""

from __future__ import annotations

import json
from pathlib import Path

from velro_gate import bounded
from velro_gate.errors import RecordError
from velro_gate.model.further import Further
from velro_gate.store.duets import DUET
from velro_gate.store.files import digest_of, require_unchanged, write_whole
from velro_gate.store.records import RECORD

REPEATS = "repeats"
CONFIRMATION = "confirmation.json"
_SCHEMA = 1


def write_missing(folder: Path, further: Further) -> None:
    """Keep that a run has to be confirmed, which phases were not measured again, or not often enough, and why; not the runs.

    Raises:
        OutputError: no permission. StorageError: the disk is full.
    """
    tree: dict[str, object] = {"schema": _SCHEMA, "not_run_again": dict(further.missing)}
    if further.second_job:
        tree["second_job"] = True
    if further.no_duet:
        tree |= {"no_duet": further.no_duet, "advice": further.advice, "broken": further.broken}
    write_whole(folder / CONFIRMATION, json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _text(path: Path) -> str:
    content = bounded.read_bytes(path)
    require_unchanged(path, digest_of(content))
    return content.decode("utf-8")


def read_missing(folder: Path) -> Further | None:
    """What ``write_missing`` has kept, without any run; None for a run that was never to be confirmed.

    Raises:
        RecordError: the file is damaged or of another version.
    """
    path = folder / CONFIRMATION
    try:
        tree = json.loads(_text(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError("the confirmation cannot be read", where=str(path), why=" ".join(str(error).split())) from error
    match tree:
        case {"schema": 1, "not_run_again": dict(missing)} if all(isinstance(why, str) for why in missing.values()):
            said = [tree.get(key, "") for key in ("no_duet", "advice")]
            if all(isinstance(each, str) for each in said):
                return Further(
                    missing=missing,
                    no_duet=said[0],
                    advice=said[1],
                    second_job=tree.get("second_job", False) is True,
                    broken=tree.get("broken", False) is True,
                )
    raise RecordError("the confirmation cannot be read", where=str(path), why="it is not what this velro-gate writes there")


def repeat_folders(folder: Path) -> tuple[Path, ...]:
    """The folders of further runs that hold a record, in the order of time. One that was killed before it kept any has none."""
    return tuple(path for path in _kept(folder) if not (path / DUET).exists())


def duet_folder(folder: Path) -> Path | None:
    """The folder of the duet that suspicious phases were measured in; None without a duet, or where runs stand in for it."""
    last = _kept(folder)[-1:]
    return last[0] if last and (last[0] / DUET).exists() else None


def _kept(folder: Path) -> list[Path]:
    place = folder / REPEATS
    found = sorted(place.iterdir(), key=lambda path: path.name) if place.is_dir() else []
    return [path for path in found if (path / RECORD).is_file()]
