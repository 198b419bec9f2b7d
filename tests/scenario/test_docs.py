"""Every example of docs/scenario.md is read by the reader, so that the reference cannot lie."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.scenario.files import ROOT, schema, shop
from velro_gate.model.metrics import METRICS
from velro_gate.scenario import load_scenario
from velro_gate.scenario.syntax.shape import STEP_METRICS, FileSpec, StepSpec, TargetSpec

TEXT = (ROOT / "docs" / "scenario.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
DATA = re.findall(r"^```(?:csv|json|python) (\S+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def completed(example: str) -> str:
    """The example with what it leaves out taken from the small sound scenario."""
    rest = {key: value for key, value in shop().items() if key not in yaml.safe_load(example)}
    if "steps" in rest:
        rest["steps"][0]["name"] = "list_items"
    return example + (yaml.safe_dump(rest) if rest else "")


@pytest.mark.parametrize(
    "example",
    [
        # A journey is looked at in a process of its own.
        pytest.param(text, id=f"{n}-{text.split(':')[0]}", marks=[pytest.mark.real] if text.startswith("journey") else [])
        for n, text in enumerate(EXAMPLES)
    ],
)
def test_each_example_is_read_and_fits_the_schema(example: str, tmp_path: Path) -> None:
    for name, content in DATA:
        (tmp_path / name).write_text(content, encoding="utf-8")
    path = tmp_path / "example.yaml"
    path.write_text(completed(example), encoding="utf-8")
    assert load_scenario(path, {}).profiles
    schema().validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_the_reference_shows_every_key_at_the_top_of_a_file() -> None:
    shown = {key for example in EXAMPLES for key in yaml.safe_load(example)}
    assert shown >= set(FileSpec.keys()) - {"description", "cookies"}
    assert "cookies: false" in TEXT


@pytest.mark.parametrize("spec", [TargetSpec, StepSpec], ids=lambda spec: spec.__name__)
def test_the_reference_names_every_key_of_the_target_and_of_a_step(spec: type[TargetSpec | StepSpec]) -> None:
    assert [key for key in spec.keys() if not re.search(rf"`{key}`|^ +(?:- )?{key}:", TEXT, re.MULTILINE)] == []  # noqa: SIM118


def test_the_reference_lists_every_metric_and_whether_it_is_one_of_a_step() -> None:
    rows = re.findall(r"^\| (`.*?) \| \w+ \| (yes|no) \|$", TEXT, re.MULTILINE)
    listed = {name: answer == "yes" for names, answer in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed == {name: name in STEP_METRICS for name in METRICS}
