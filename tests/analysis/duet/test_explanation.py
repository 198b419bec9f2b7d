"""Why the head build of a duet is worse."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tests.analysis.duets import of_phases
from tests.analysis.stored.test_explanation import SAME_SHARE, SAME_TIME, TAIL, both, phase
from tests.analysis.verdict.test_judge_duet import judged
from velro_gate.model.duet import Duet
from velro_gate.model.facts.regression import Explanation, ShiftShape
from velro_gate.report.sentences.explanations import companion_words, explanation_sentence


def pairs(factors: Mapping[str, Mapping[str, float]] | None = None, *, base: object = None, **head: object) -> Duet:
    """Ten pairs with 1 % noise; factors: step -> quantile -> what the head build multiplies it by."""
    wander = np.exp(np.random.default_rng(3).normal(0.0, 0.01, (10, 2)))
    usual = dict(base) if isinstance(base, dict) else {}
    return of_phases(
        [phase(times=float(w), **usual) for w in wander[:, 0]],
        [phase(factors, times=float(w), **head) for w in wander[:, 1]],  # type: ignore[arg-type]
    )


def explained(held: Duet) -> Explanation:
    (found,) = judged(held).explanations
    return found


@pytest.mark.parametrize(
    ("factors", "shape", "words"),
    [
        (SAME_SHARE, ShiftShape.SAME_SHARE, "all requests by about the same percentage"),
        (SAME_TIME, ShiftShape.SAME_TIME, "every request by about 9.9 ms"),
        (TAIL, ShiftShape.TAIL, "only in the tail"),
    ],
)
def test_the_shape_of_a_slowdown_is_reported(factors: Mapping[str, float], shape: ShiftShape, words: str) -> None:
    found = explained(pairs(both(factors)))
    assert found.shape is shape
    assert words in explanation_sentence(found)


def test_the_slower_step_is_named_with_where_the_base_build_lay() -> None:
    found = explained(pairs(both(SAME_SHARE)))
    assert found.steps == ("authorize",)
    assert explanation_sentence(found).startswith("in steady, authorize is slower")
    assert "it is new with this build (the 10 blocks of the base build: p" in explanation_sentence(found)
    assert found.since == ""


def test_what_moved_with_it_is_reported_from_the_blocks_of_both_builds() -> None:
    usual = {"caches": {"memory": 95, "miss": 5}, "waiting": 2.0, "cpu": 1.0}
    held = pairs(both(SAME_SHARE), base=usual, caches={"memory": 80, "miss": 20}, waiting=9.0, cpu=1.3)
    assert tuple(map(companion_words, explained(held).companions)) == (
        "CPU per 1,000 requests +30.0 %",
        "responses from the memory cache of authorize 95.0 % -> 80.0 %",
        "cache misses of authorize 5.0 % -> 20.0 %",
        "service database pool in use 2 -> 9",
    )


def test_an_unchanged_and_a_better_build_need_no_explanation() -> None:
    assert judged(pairs()).explanations == ()
    assert judged(pairs(both(dict.fromkeys(SAME_SHARE, 0.7)))).explanations == ()
