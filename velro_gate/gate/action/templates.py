"""Templates of the repository's own: those of the base, since a proposed change must not word its own verdict."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from velro_gate import units
from velro_gate.errors import PublishError, UsageError
from velro_gate.gate.judge.template_limits import template_limits
from velro_gate.github.api import Api
from velro_gate.report.text.templating import use_templates

ENDING = ".j2"
LARGEST = 1_000_000
"""Bytes of one file; GitHub gives no larger one in this way."""
MOST = 40
"""Files of one folder."""


def use_own_templates(folder: str, ref: str, api: Api | None, say: Callable[[str], None]) -> Mapping[str, str]:
    """Use the templates of a folder from now on; their texts by name. Where one is wrong that is said, and ours is used.

    folder: empty: only the shipped ones are used. ref: the commit or branch that they are read at.
    """
    if not folder:
        return {}
    place = f"{folder} at {ref[:12] or 'HEAD'}"
    try:
        if api is None:
            raise PublishError("there is no token to read it with")
        found = files_below(api, folder, ref, ENDING)
    except PublishError as error:
        say(f"warning: the shipped templates are used, since {place} cannot be read: {error.what}")
        return {}

    def complain(wrong: UsageError) -> None:
        """Show what is wrong with a template as a warning."""
        say("\n".join(wrong.lines("warning")))

    use_templates(found, place, complain, template_limits)
    say(f"templates: {', '.join(sorted(found)) or 'none'} of {place}")
    return found


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
    raise PublishError(
        "the file cannot be read by the API", where=where, why=f"{units.format_whole(LARGEST)} bytes are the most"
    )
