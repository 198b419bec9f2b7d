"""Text files of a repository as one commit has them, read by the API: what the workspace holds has no say in it."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from velro_gate.errors import PublishError
from velro_gate.github.api import Api

LARGEST = 1_000_000
"""Bytes of one file; GitHub gives no larger one in this way."""
MOST = 40
"""Files of one folder."""


def files_below(api: Api, folder: str, ref: str, ending: str) -> dict[str, str]:
    """The regular files of one folder with this ending, by name. ref: a commit or branch; empty: the default branch.

    Raises:
        PublishError: there is no such folder at that commit, or it cannot be read.
    """
    at = {"ref": ref} if ref else {}
    path = f"/contents/{quote(folder.strip('/'))}"
    listed = api.get(path, at)
    if not isinstance(listed, list):
        raise PublishError("it is not a folder", where=folder)
    names = [name for item in listed if (name := _name(item)).endswith(ending)]
    if len(names) > MOST:
        raise PublishError(f"the folder holds more than {MOST} such files", where=folder)
    return {name: _text(api.get(f"{path}/{quote(name, safe='')}", at), f"{folder}/{name}") for name in names}


def _name(item: Any) -> str:
    """Of a regular file; empty for anything else."""
    if not isinstance(item, Mapping) or item.get("type") != "file":
        return ""
    name = item.get("name")
    return name if isinstance(name, str) else ""


def _text(found: Any, where: str) -> str:
    content = found.get("content") if isinstance(found, Mapping) and found.get("encoding") == "base64" else None
    try:
        if isinstance(content, str):
            return b64decode(content).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise PublishError("the file is no text", where=where, why=str(error)) from error
    raise PublishError("the file cannot be read by the API", where=where, why=f"{LARGEST:,} bytes are the most")
