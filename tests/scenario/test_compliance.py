"""A scenario's own rules of compliance, and what a profile leaves unproven."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scenario.files import ROOT, SHIPPED, faults, load, shop
from velro_gate.model.compliance.rules import BANDS, CLASSES, ClassLimits, ComplianceRules, NamedWeight, ScoreBand
from velro_gate.scenario import load_scenario, profile_digest, unproven_requirements


def ruled(**rules: object) -> dict[str, object]:
    return {**shop(), "compliance": rules}


def test_without_rules_the_defaults_hold(tmp_path: Path) -> None:
    assert load(shop(), tmp_path).compliance == ComplianceRules()


def test_each_rule_is_read_with_its_units(tmp_path: Path) -> None:
    found = load(
        ruled(
            bands={"ship": "99 %", "look": 0.5},
            classes={"fast": {"p95": "20 ms", "throughput": "2,000/s", "hit_rate": "99 %"}},
            weights={"p95": 3, "list.p95": 0.5},
            checklist=["The runbook is up to date"],
        ),
        tmp_path,
    ).compliance
    assert found == ComplianceRules(
        bands=(ScoreBand(name="ship", least=0.99), ScoreBand(name="look", least=0.5)),
        classes=(ClassLimits(name="fast", p95=0.02, throughput=2_000.0, hit_rate=0.99),),
        weights=(NamedWeight(step="all", metric="p95", weight=3.0), NamedWeight(step="list", metric="p95", weight=0.5)),
        checklist=("The runbook is up to date",),
    )


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        ({"bands": {"good": "50 %", "better": "90 %"}}, "bands go from the best to the worst"),
        ({"weights": {"speed": 1}}, "unknown metric 'speed'"),
        ({"weights": {"lost.p95": 1}}, "there is no step 'lost'"),
        ({"weights": {"list.users_held": 1}}, "users_held is a figure of a whole phase"),
        ({"weights": {"p95": -1}}, "p95"),
        ({"classes": {"fast": {"p95": "20 ms"}}}, "throughput"),
    ],
)
def test_a_rule_that_cannot_hold_is_a_fault_with_its_line(tmp_path: Path, rules: dict[str, object], what: str) -> None:
    found = faults(ruled(**rules), tmp_path)
    assert any(what in fault for fault in found)
    assert all(re.match(r"scenario\.yaml:\d+", fault) for fault in found)


def test_rules_are_no_part_of_the_load(tmp_path: Path) -> None:
    plain, changed = load(shop(), tmp_path), load(ruled(weights={"p95": 3}), tmp_path)
    assert profile_digest(plain, "full") == profile_digest(changed, "full")


def test_the_full_plan_of_the_prd_leaves_nothing_unproven_and_the_smaller_ones_do() -> None:
    velro = load_scenario(SHIPPED, {})
    assert unproven_requirements(velro.profiles, velro.profiles["full"]) == ()
    missing = {(one.metric, one.step) for one in unproven_requirements(velro.profiles, velro.profiles["pr"])}
    assert ("users_held", "all") in missing
    assert ("sustained_throughput", "all") in missing
    assert ("p95", "authentication_check") not in missing
    assert unproven_requirements(velro.profiles, velro.profiles["full"][:1])
    assert {one.metric for one in unproven_requirements(velro.profiles, velro.profiles["quick"])} >= {"users_held"}


def test_the_page_on_compliance_shows_the_rules_that_are_applied() -> None:
    page = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
    bands = re.findall(r"^\| (\d+) to [\d.]+ % \| ([a-z ]+) \|", page, re.MULTILINE)
    assert [(name, int(least) / 100) for least, name in bands] == [(band.name, band.least) for band in BANDS]
    classes = re.findall(r"^\| (\w+) \| < (\d+) ms \| ≥ ([\d,]+)/s \| ≥ (\d+) % \|", page, re.MULTILINE)
    assert [(name, int(p95) / 1e3, float(rate.replace(",", "")), int(hits) / 100) for name, p95, rate, hits in classes] == [
        (one.name, one.p95, one.throughput, one.hit_rate) for one in CLASSES
    ]
