"""What the ``evaluate`` commands do after parsing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from velro_gate import units
from velro_gate.cli.evaluate.figures import print_figures
from velro_gate.cli.options import FigureFormat, Format
from velro_gate.cli.output import people, put, show
from velro_gate.cli.world import real_effects
from velro_gate.errors import VelroError
from velro_gate.evaluation.curves import curves_svg
from velro_gate.evaluation.results import Evaluated
from velro_gate.evaluation.run import curve_points
from velro_gate.evaluation.sandboxed.capacities import SandboxSearches, sandbox_capacities
from velro_gate.evaluation.sandboxed.causes import CauseRuns, cause_figures
from velro_gate.evaluation.sandboxed.end_to_end import EndToEnd, end_to_end_figures
from velro_gate.evaluation.sandboxed.leaks import SandboxLeaks, sandbox_leak_figures
from velro_gate.evaluation.sandboxed.resilience import ResilienceRuns, resilience_figures
from velro_gate.evaluation.sandboxed.whole_jobs import WholeJobs, whole_job_figures
from velro_gate.evaluation.simulated.experiment_figures import experiment_figure_figures
from velro_gate.evaluation.simulated.leaks import leak_figures
from velro_gate.evaluation.simulated.queues import simulated_capacities
from velro_gate.gate.sandboxed.effects import sandbox_effects
from velro_gate.store.files import write_whole

OK = 0


def evaluate_end_to_end(asked: EndToEnd, format: FigureFormat) -> int:
    """Measure, draw, print; 1 when a figure is missed."""
    with real_effects(None, verbose=False) as effects:
        figures = list(end_to_end_figures(asked, effects))
    return print_figures(figures, format) if figures or format is FigureFormat.JSON else OK


def evaluate_jobs(asked: WholeJobs, format: FigureFormat) -> int:
    """Measure whole jobs, print their figures; 1 when one is missed."""
    with real_effects(None, verbose=False) as effects:
        figures = list(whole_job_figures(asked, sandbox_effects(effects)))
    return print_figures(figures, format)


def evaluate_capacity(count: int, seed: int, sandbox: Path | None, minutes: float, format: FigureFormat) -> int:
    """Search on simulated services, or on the sandbox where a folder is given; 1 when a figure is missed."""
    if sandbox is None:
        console = people()
        said = simulated_capacities(count, seed, say=lambda line: console.print(line, markup=False))
        return print_figures(list(said), format)
    with real_effects(None, verbose=False) as effects:
        searches = SandboxSearches(folder=sandbox, count=count, minutes=minutes)
        figures: list[Evaluated] = []
        try:
            figures.extend(sandbox_capacities(searches, effects))
        except VelroError:
            # Those that are whole stand as they are; the error follows.
            if figures:
                print_figures(figures, format)
            raise
    return print_figures(figures, format)


def evaluate_bottlenecks(asked: CauseRuns, format: FigureFormat) -> int:
    """Make the runs with known causes, print how often each was reported first; 1 when a figure is missed."""
    with real_effects(None, verbose=False) as effects:
        figures = list(cause_figures(asked, effects))
    return print_figures(figures, format)


def evaluate_resilience(asked: ResilienceRuns, format: FigureFormat) -> int:
    """Break good and wrong versions of the sandbox, print how often each was judged right; 1 when a figure is missed."""
    with real_effects(None, verbose=False) as effects:
        figures = list(resilience_figures(asked, effects))
    return print_figures(figures, format)


def evaluate_experiment_figures(count: int, seed: int, format: FigureFormat) -> int:
    """Judge simulated runs by the figures of their experiments; 1 when a figure is missed."""
    return print_figures(list(experiment_figure_figures(count, seed)), format)


def evaluate_leaks(count: int, seed: int, sandbox: Path | None, format: FigureFormat) -> int:
    """Look for leaks in simulated services, or in the sandbox where a folder is given; 1 when a figure is missed."""
    if sandbox is None:
        return print_figures(list(leak_figures(count, seed)), format)
    with real_effects(None, verbose=False) as effects:
        figures = list(sandbox_leak_figures(SandboxLeaks(folder=sandbox, count=count), effects))
    return print_figures(figures, format)


def draw_curves(svg: Path, count: int, seed: int, format: Format) -> int:
    """Work the curves out, write their picture and print their points."""
    console = people()
    points = list(curve_points(count, seed, say=lambda line: console.print(line, markup=False)))
    note = f"velro-gate evaluate curves --count {count} --seed {seed}: {count} simulated jobs of each kind, 8 metrics"
    write_whole(svg, curves_svg(points, note))
    if format is Format.JSON:
        put(json.dumps([asdict(point) for point in points], indent=2))
        return OK
    table = Table()
    rules = list(points[0].rates)
    for heading in ("noise of a pair", "change of p95", *rules):
        table.add_column(heading, justify="right")
    for point in points:
        rates = [units.format_share(point.rates[rule]) for rule in rules]
        table.add_row(units.format_share(point.noise), units.format_change(point.worse), *rates)
    show(table)
    put(f"Picture: {svg}")
    return OK
