"""How many blocks a duet's pilot measures, and how long it loads: ``python -m benchmarks.pilots --count 10``.

Pilots of the sandbox, each freshly started as a duet starts it; the duet ends after its pilot, for it has no time for pairs.
The minutes of load that ``velro-gate evaluate synthetic --only together`` counts assume one block.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import machine
from benchmarks.table import Table
from velro_gate.cli.world import real_effects
from velro_gate.errors import InfeasibleError
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.run import duet
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.sandboxed.effects import sandbox_builds, sandbox_effects, sandbox_setup
from velro_gate.model.run import Progress

_TOO_SHORT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotCost:
    """What one pilot measured. seconds: of load, ramps and warm-up included."""

    blocks: int
    seconds: float


def measured(count: int, root: Path) -> list[PilotCost]:
    """``count`` pilots, one after the other."""
    found = []
    with real_effects(None, verbose=False) as real:
        world, calibration = sandbox_effects(real), Calibration()
        for seed in range(1, count + 1):
            seen: dict[int, float] = {}

            def observe(now: Progress, seen: dict[int, float] = seen) -> None:
                seen[now.phase_number] = max(seen.get(now.phase_number, 0.0), now.elapsed + now.remaining)

            options = DuetOptions(seed=seed, most_seconds=_TOO_SHORT)
            place = make_results(root, f"pilot-{seed}")
            with suppress(InfeasibleError):
                duet(sandbox_setup(world), sandbox_builds(0.0), options, place, replace(world, observe=observe), calibration)
            found.append(PilotCost(blocks=len(seen), seconds=sum(seen.values())))
            real.say(f"pilot {seed} of {count}: {found[-1].blocks} block(s), {found[-1].seconds:.0f} s of load")
    return found


def table(found: Sequence[PilotCost]) -> Table:
    """How often a second block was needed."""
    second = sum(each.blocks > 1 for each in found)
    seconds = sorted(each.seconds for each in found)
    row = (str(len(found)), f"{second} of {len(found)}", f"{seconds[len(seconds) // 2]:.0f} s", f"{seconds[-1]:.0f} s")
    return Table(title="pilots of the sandbox", columns=("pilots", "second block", "load, median", "most"), rows=(row,))


def main() -> None:
    """Measure, print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--count", type=int, default=10)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(asked.parse_args().count, Path(folder))
    print(machine.describe())
    print(table(found).plain())


if __name__ == "__main__":
    main()
