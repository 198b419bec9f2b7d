"""What a verdict is reached by lies where code of the change can write: it has to be at the end as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from velro_gate import bounded
from velro_gate.errors import BrokenError
from velro_gate.store.files import digest_of


class Unchanged:
    """Remembers files and folders, and refuses them changed."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[Path, str]] = {}

    def note(self, place: Path, *, again: bool = False) -> None:
        """Remember a file, or everything below a folder, as it is now, missing ones too. again: also if it is known already."""
        if again or place not in self._known:
            self._known[place] = dict(_digests(place))

    def require(self) -> None:
        """Refuse to go on if anything is not as it was.

        Raises:
            BrokenError: a file was changed, removed, or put there.
        """
        for place, before in self._known.items():
            now = dict(_digests(place))
            for path in sorted({*before, *now}):
                if before.get(path) != now.get(path):
                    raise BrokenError(
                        f"{path.name} was changed while the job ran",
                        where=str(path),
                        why="a verdict is reached by it, so it has to be as it was checked out or fetched",
                        hint="See whether a build, the service or a journey writes there; service-user prevents it.",
                    )


def _digests(place: Path) -> Iterator[tuple[Path, str]]:
    paths = sorted(place.rglob("*")) if place.is_dir() else [place]
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            continue
        try:
            yield path, digest_of(bounded.read_bytes(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            yield path, f"unreadable: {error.errno}"
