"""Series of real measurements, to replay the decision on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from velro_gate.arrays import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedSeries:
    """Figures that each job measures together, so that one run is judged by all of them; nothing is known to have changed."""

    source: str
    """The data set."""
    name: str
    figures: tuple[str, ...]
    """Name of each figure."""
    metrics: tuple[str, ...]
    """The registry's name of each figure's kind."""
    values: Floats
    """(jobs, arms, figures) in base units, oldest job first, NaN where nothing was measured."""
    arms: tuple[str, ...] = ("",)
    """What each job measures, such as builds of one program; one of them where it measures one thing."""
    raw: tuple[Floats, ...] = field(default=())
    """The response times of each job, where there are any."""

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[1:] != (len(self.arms), len(self.figures)):
            raise ValueError(f"the values of {self.name} have the shape {self.values.shape}, not (jobs, arms, figures)")
        if len(self.metrics) != len(self.figures):
            raise ValueError(f"{self.name} has {len(self.figures)} figures of {len(self.metrics)} kinds")

    @property
    def jobs(self) -> int:
        """How many jobs there are."""
        return len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The runs of one commit: each the ratio of its figure to that of a fixed build of the same job."""

    number: int
    ratios: tuple[float, ...]
    label: str = ""
    """'definite up', ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The commits of one kind of query, oldest first, some of them known to have changed something."""

    name: str
    commits: tuple[Commit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFound:
    """What a folder of series holds."""

    series: Sequence[RecordedSeries] = ()
    labelled: Sequence[Labelled] = ()
