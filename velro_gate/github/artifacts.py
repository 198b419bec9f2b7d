"""Archives of other runs: found by the API, read in memory, never unpacked to the disk.

What an archive holds was written by whoever could run code in that job. So only files of wanted names are read, each up to a
size, and a name in it is compared, not used as a path.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Collection
from typing import Any

from velro_gate.errors import PublishError
from velro_gate.github.api import Api
from velro_gate.units import format_count

ARCHIVE_LIMIT = 20_000_000
"""Bytes of an archive as it is downloaded."""
FILE_LIMIT = 5_000_000
"""Bytes that one of its files may unpack to: counted while unpacking, since the archive's own figure may be false."""
TOTAL_LIMIT = 100_000_000
"""Bytes that all files of one archive may unpack to; a thousand baselines have some 64."""
MOST_ENTRIES = 1_000
"""Files of an archive."""
_CHUNK = 65_536
"""Bytes that are unpacked at a time."""


def artifact_of_run(api: Api, *, run_id: int, name: str) -> int | None:
    """The id of a run's archive; None when it left none of that name. The newest where an attempt was repeated.

    Raises:
        PublishError: the list cannot be read.
    """
    return _newest(api, f"/actions/runs/{run_id}/artifacts", name)


def latest_artifact(api: Api, *, name: str, branch: str) -> int | None:
    """The newest archive of that name which a run on a branch of this very repository left; None when there is none.

    A fork's run may leave an archive of any name, on a branch of any name.

    Raises:
        PublishError: the list cannot be read.
    """
    return _newest(api, "/actions/artifacts", name, branch)


def _newest(api: Api, path: str, name: str, branch: str | None = None) -> int | None:
    found = api.pages(path, {"name": name}, key="artifacts")
    fitting = [item for item in found if item.get("name") == name and not item.get("expired") and _is_of(item, branch)]
    newest = max(fitting, key=lambda item: (str(item.get("created_at", "")), int(item["id"])), default=None)
    return None if newest is None else int(newest["id"])


def _is_of(item: Any, branch: str | None) -> bool:
    if branch is None:
        return True
    run = item.get("workflow_run") or {}
    same = run.get("repository_id") is not None and run.get("repository_id") == run.get("head_repository_id")
    return bool(same and run.get("head_branch") == branch)


def download_archive(api: Api, artifact: int) -> bytes:
    """The bytes of an archive.

    Raises:
        PublishError: it cannot be read, or is larger than ``ARCHIVE_LIMIT``.
    """
    return api.download(f"/actions/artifacts/{artifact}/zip", limit=ARCHIVE_LIMIT)


def files_in(archive: bytes, wanted: Collection[str]) -> dict[str, bytes]:
    """The contents of the wanted files at the top of an archive; names that are not there are left out.

    Raises:
        PublishError: it is not an archive, is damaged or encrypted, holds a name twice, or unpacks to more than
            ``FILE_LIMIT`` or ``TOTAL_LIMIT``.
    """
    found: dict[str, bytes] = {}
    try:
        with _opened(archive) as opened:
            entries = opened.infolist()
            if len(entries) > MOST_ENTRIES:
                raise _bad(f"it has {len(entries)} entries")
            for entry in entries:
                if entry.filename not in wanted:
                    continue
                if entry.filename in found:
                    raise _bad(f"it holds {entry.filename} twice")
                found[entry.filename] = _content(opened, entry)
                if sum(map(len, found.values())) > TOTAL_LIMIT:
                    raise _bad(f"its files have more than {format_count(TOTAL_LIMIT)} bytes")
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise _bad(f"{type(error).__name__}: {error}") from error
    return found


def every_file_in(archive: bytes, ending: str) -> dict[str, bytes]:
    """The contents of all files of one ending, by their names in the archive; names that lead out of it are refused.

    Raises:
        PublishError: see ``files_in``.
    """
    with _opened(archive) as opened:
        names = [entry.filename for entry in opened.infolist() if entry.filename.endswith(ending)]
    strange = [name for name in names if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", name)]
    if strange:
        raise _bad(f"it holds a file with an unexpected name: {strange[0]!r}")
    return files_in(archive, frozenset(names))


def _opened(archive: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(archive))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _bad(f"{type(error).__name__}: {error}") from error


def _content(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """What an entry really unpacks to: its own word for its size is not believed."""
    content = bytearray()
    with opened.open(entry) as stream:
        while chunk := stream.read(_CHUNK):
            content += chunk
            if len(content) > FILE_LIMIT:
                raise _bad(f"{entry.filename} has more than {format_count(FILE_LIMIT)} bytes")
    return bytes(content)


def _bad(why: str) -> PublishError:
    return PublishError(
        "the archive is not used", why=why, hint="It was not made by velro-gate, or was tampered with: look at its run."
    )
