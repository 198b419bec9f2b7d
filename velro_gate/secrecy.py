"""The secrets of this process, and what every text passes that leaves it: files, standard output, the log, the API, git.

A process has one set of secrets, so this is one set for all, and a way out that is added later has nothing to be handed.
What is to be hidden is added where it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from velro_gate.model.masking import is_strong, mask, mask_json


@dataclass(slots=True)
class _Known:
    certain: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    public: frozenset[str] = frozenset()


_KNOWN = _Known()


def hide(secrets: Iterable[str], *, certain: bool = False) -> None:
    """From now on no text that leaves holds these.

    certain: whatever they look like. Else a plain word or number is left, and what is a part of a run's own names: masking them
    would make records that no longer say what was measured.
    """
    if certain:
        _KNOWN.certain |= frozenset(secrets)
    else:
        _KNOWN.hidden |= frozenset(filter(is_strong, secrets))


def name_openly(names: Iterable[str]) -> None:
    """Names that a run is known by, such as those of its steps."""
    _KNOWN.names |= {name.lower() for name in names}


def leave_as_is(text: str) -> None:
    """A long text that everybody has, such as a library's script: searching it would take longer than all the rest."""
    if text:
        _KNOWN.public |= {text}


def forget() -> None:
    """Start from nothing, as a process does."""
    _KNOWN.certain = _KNOWN.hidden = _KNOWN.names = _KNOWN.public = frozenset()


def outgoing(text: str) -> str:
    """A text as it may leave the process."""
    for public in _KNOWN.public:
        if len(text) > len(public) and public in text:
            return public.join(map(outgoing, text.split(public)))
    return mask(text, _hidden())


def outgoing_json(text: str) -> str:
    """A JSON document as it may leave the process: it stays one, and its numbers stay as they are."""
    return mask_json(text, _hidden())


def _hidden() -> frozenset[str]:
    hidden = _KNOWN.hidden
    return _KNOWN.certain | {secret for secret in hidden if not any(secret.lower() in name for name in _KNOWN.names)}
