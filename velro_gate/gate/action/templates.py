"""Templates of the repository's own: those of the base, since a proposed change must not word its own verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from velro_gate.errors import PublishError, UsageError
from velro_gate.github.api import Api
from velro_gate.github.contents import files_below
from velro_gate.report.text.templating import use_templates

ENDING = ".j2"


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
        say("\n".join(wrong.lines()).replace("error: ", "warning: ", 1))

    use_templates(found, place, complain)
    say(f"templates: {', '.join(sorted(found)) or 'none'} of {place}")
    return found
