"""The backtest printed: run by run, what another policy would have said."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from velro_gate import units
from velro_gate.cli.options import Format
from velro_gate.cli.output import people, put, show
from velro_gate.errors import UsageError
from velro_gate.evaluation.recorded.backtest import backtest, policy_of
from velro_gate.evaluation.recorded.flips import Rejudged, RowFlip
from velro_gate.model.metrics import METRICS
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change

OK = 0


def run_backtest(
    root: Path, policy: Path | None, shares: Mapping[str, str | None], counts: Mapping[str, int | None], format: Format
) -> int:
    """Judge again and print. shares: fields of the policy as they were typed; counts: those that are whole numbers."""
    changed: dict[str, object] = {} if policy is None else policy_of(policy, os.environ)
    for name, text in shares.items():
        if text is not None:
            changed[name] = _share(name, text)
    changed |= {name: count for name, count in counts.items() if count is not None}
    console = people()
    found = list(backtest(root, changed, say=lambda line: console.print(line, markup=False)))
    if format is Format.JSON:
        put(json.dumps(_document(found, changed), indent=2, ensure_ascii=False))
    else:
        _print(found)
    return OK


def _share(name: str, text: str) -> float:
    try:
        return units.parse_share(text)
    except ValueError as error:
        raise UsageError(
            f"--{name.replace('_', '-')} {text!r} is not a share", why=str(error), hint="Write 3% or 0.03."
        ) from error


def _print(found: Sequence[Rejudged]) -> None:
    table = Table()
    for heading in ("run", "kind", "baselines", "verdict", "would be", "figures that come out otherwise"):
        table.add_column(heading, justify="right" if heading == "baselines" else "left", overflow="fold")
    for run in found:
        if run.flips or run.rows:
            rows = "\n".join(map(_row, run.rows))
            after = run.after.word if run.flips else "the same"
            table.add_row(run.place, run.kind.value, str(run.baselines), run.before.word, after, rows)
    if table.row_count:
        show(table)
    for (before, after), count in Counter((run.before.word, run.after.word) for run in found if run.flips).items():
        put(f"{count} from {before} to {after}")
    put(f"{sum(run.flips for run in found)} of {len(found)} verdicts would flip")


def _row(flip: RowFlip) -> str:
    label = METRICS[flip.metric].label
    step = "" if flip.step == ALL_STEPS else f"{flip.step} "
    return f"{flip.phase}: {step}{label} {_word(flip.before)} -> {_word(flip.after)}"


def _word(change: Change | None) -> str:
    return "not compared" if change is None else change.value


def _document(found: Sequence[Rejudged], changed: Mapping[str, object]) -> dict[str, object]:
    return {
        "policy": changed,
        "runs": [
            {
                "id": run.id,
                "started_at": run.started_at,
                "place": run.place,
                "kind": run.kind.value,
                "baselines": run.baselines,
                "before": run.before.word,
                "after": run.after.word,
                "flips": run.flips,
                "rows": [
                    {
                        "phase": row.phase,
                        "step": row.step,
                        "metric": row.metric,
                        "before": None if row.before is None else row.before.value,
                        "after": None if row.after is None else row.after.value,
                    }
                    for row in run.rows
                ],
            }
            for run in found
        ],
        "flips": sum(run.flips for run in found),
    }
