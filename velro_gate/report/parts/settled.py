"""Who settled what: the screen against stored baselines, the duet, or further runs of this build."""

from __future__ import annotations

from collections.abc import Sequence

from velro_gate.model.verdict import Change, Comparison, Verdict


def compared_headings(verdict: Verdict) -> tuple[str, str, str]:
    """The title of the comparisons and the headings of the two figures in each row: a duet may have settled some or all."""
    in_pairs = {bool(row.pairs) for row in verdict.comparisons if row.verdict is not Change.NOT_COMPARED}
    if verdict.duet is not None or in_pairs == {True}:
        return "Head and base side by side", "Base build", "Head build"
    if in_pairs == {True, False}:
        return "Compared with the base build and the baselines", "Before", "Now"
    return "Compared with the baselines", "Baseline", "Now"


def settled_sentence(verdict: Verdict) -> str:
    """``The screen settled 22 figures, the duet of 10 pairs 8 (steady).``; empty where only the screen decided."""
    primary = [row for row in verdict.comparisons if row.primary and row.verdict is not Change.NOT_COMPARED]
    paired = [row for row in primary if row.pairs]
    again = [row for row in primary if not row.pairs and row.confirmation is not None]
    screened = [row for row in primary if not row.pairs and row.confirmation is None]
    if verdict.duet is not None or not (paired or again):
        return ""
    parts = [f"the screen against stored baselines settled {_figures(screened)}"]
    if paired:
        parts.append(f"the duet of {max(row.pairs for row in paired)} pairs settled {_figures(paired)}{_where(paired)}")
    if again:
        parts.append(f"further runs of this build settled {_figures(again)}{_where(again)}")
    words = ", ".join(parts)
    return f"{words[0].upper()}{words[1:]}."


def _figures(rows: Sequence[Comparison]) -> str:
    return f"{len(rows) or 'no'} figure{'' if len(rows) == 1 else 's'}"


def _where(rows: Sequence[Comparison]) -> str:
    return f" ({', '.join(dict.fromkeys(row.phase for row in rows))})"
