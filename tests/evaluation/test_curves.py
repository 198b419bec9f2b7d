"""The picture of rates against noise."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from velro_gate.evaluation.curves import HEIGHT, STYLES, WIDTH, curves_svg
from velro_gate.evaluation.results import CurvePoint

RULES = ("duet", "previous run + 10 %", "tests <of> requests & more")
POINTS = [
    CurvePoint(noise=noise, worse=worse, rates={rule: min(1.0, noise * (i + 1) + worse) for i, rule in enumerate(RULES)})
    for worse in (0.0, 0.10)
    for noise in (0.06, 0.02, 0.12)
]
SVG = "{http://www.w3.org/2000/svg}"


def drawn(points: list[CurvePoint]) -> ET.Element:
    return ET.fromstring(curves_svg(points, "made by <a test>"))


def test_it_is_one_picture_with_a_curve_for_each_rule_and_change() -> None:
    root = drawn(POINTS)
    curves = [path for path in root.iter(f"{SVG}path") if "L" in path.get("d", "")]
    assert len(curves) == 2 * len(RULES)
    assert len(list(root.iter(f"{SVG}circle"))) == 2 * len(RULES) * 3


def test_texts_are_escaped_and_every_rule_is_named() -> None:
    texts = [element.text for element in drawn(POINTS).iter(f"{SVG}text")]
    assert {*RULES, "made by <a test>", "Nothing changed: false alarms", "+10 % of p95: found"} <= set(texts)


def test_more_noise_lies_right_a_higher_rate_higher_and_all_of_it_inside() -> None:
    root = drawn([CurvePoint(noise=noise, worse=0.0, rates={"duet": noise * 8}) for noise in (0.01, 0.05, 0.12)])
    at = [(float(circle.get("cx", "")), float(circle.get("cy", ""))) for circle in root.iter(f"{SVG}circle")]
    assert at == sorted(at)
    assert [y for _, y in at] == sorted((y for _, y in at), reverse=True)
    assert all(0.0 < x < WIDTH and 0.0 < y < HEIGHT for x, y in at)


def test_no_points_and_more_rules_than_can_be_distinguished_are_refused() -> None:
    with pytest.raises(ValueError, match="points"):
        curves_svg([], "")
    with pytest.raises(ValueError, match="four rules"):
        curves_svg([CurvePoint(noise=0.1, worse=0.0, rates={str(i): 0.0 for i in range(len(STYLES) + 1)})], "")
