"""Figures as text: how one was obtained."""

from __future__ import annotations

import pytest

from velro_gate.model.metric.definition import FigureOrigin
from velro_gate.model.record import Estimate
from velro_gate.report.text.figures import origin


@pytest.mark.parametrize("known", FigureOrigin)
def test_every_way_to_obtain_a_figure_has_words(known: FigureOrigin) -> None:
    assert origin(Estimate.exact(1.0, n=1, origin=known))


def test_a_figure_of_an_earlier_version_keeps_its_words() -> None:
    assert origin(Estimate(value=1.0, low=1.0, high=1.0, n=1, detail="counted by PostgreSQL")) == "counted by PostgreSQL"


def test_blocks_come_before_the_way_that_each_was_obtained() -> None:
    pooled = Estimate(value=1.0, low=1.0, high=1.0, n=1, blocks=2, origin=FigureOrigin.COUNTED)
    assert origin(pooled) == "2 blocks"


def test_a_figure_that_can_be_obtained_in_one_way_only_has_no_remark() -> None:
    assert origin(Estimate.exact(1.0, n=1)) == ""
