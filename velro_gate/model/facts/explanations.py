"""What an explanation names in addition to the slower steps, as data: where the worsening comes from, and what moved with it.

Figures in base units; ``report.sentences.explanations`` words them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class SinceRun:
    """A part of the worsening came with a run of main."""

    code: ClassVar = "since-run"
    run: str
    """Id of the run."""
    day: str
    sha: str
    change: float
    """Relative, of the level before that run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWithBuild:
    """All of the worsening is new with this build, and nothing is known of where the figure was."""

    code: ClassVar = "new-with-build"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAboveMain:
    """All of the worsening is new with this build; where main's last runs were."""

    code: ClassVar = "new-above-main"
    metric: str
    runs: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAboveBase:
    """All of the worsening is new with this build; where the blocks of the base build were."""

    code: ClassVar = "new-above-base"
    metric: str
    blocks: int
    low: float
    high: float


Origin = SinceRun | NewWithBuild | NewAboveMain | NewAboveBase
"""Where a worsening comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureMoved:
    """Another compared figure that changed too."""

    code: ClassVar = "figure-moved"
    metric: str
    change: float
    """Relative; ``low`` and ``high`` are the ends of its 95 % interval."""
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareMoved:
    """A compared share that changed too, by this difference."""

    code: ClassVar = "share-moved"
    metric: str
    difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMoved:
    """The share of responses that come from one cache layer (``miss``: from none), outside all that the baselines had."""

    code: ClassVar = "cache-moved"
    layer: str
    step: str
    before: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceMoved:
    """A pool or queue with more in use, or more waiting, than the baselines ever had."""

    code: ClassVar = "resource-moved"
    source: str
    name: str
    before: float
    now: float


Companion = FigureMoved | ShareMoved | CacheMoved | ResourceMoved
"""What moved together with a worsening."""
