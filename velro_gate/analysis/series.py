"""Series of real measurements, to replay the decision on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from velro_gate.analysis.signflip import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure over the runs of a group, oldest first; None where a run has none. metric: the registry's name."""

    name: str
    metric: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Figures that are measured together, so that one run is judged by all of them. Nothing is known to have changed.

    raw: the response times of each run, where there are any.
    """

    name: str
    lines: tuple[Line, ...]
    raw: tuple[Floats, ...] = field(default=())

    def __post_init__(self) -> None:
        if len({len(line.values) for line in self.lines}) > 1:
            raise ValueError(f"the lines of {self.name} are not of one length")

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.lines[0].values) if self.lines else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The runs of one commit: each the ratio of its figure to that of a fixed build beside it. label: 'definite up', ..."""

    number: int
    ratios: tuple[float, ...]
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The commits of one kind of query, oldest first, some of them known to have changed something."""

    name: str
    commits: tuple[Commit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFound:
    """What a folder of series holds. absent: data sets that it lacks, by name."""

    dedicated: Sequence[Group] = ()
    hosted: Sequence[Group] = ()
    servers: Sequence[Group] = ()
    labelled: Sequence[Labelled] = ()
    absent: Sequence[str] = ()
