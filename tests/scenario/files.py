"""Scenario files for the tests: a small sound one, and ways to vary it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from velro_gate.errors import ScenarioError
from velro_gate.model.scenario import Scenario
from velro_gate.scenario import json_schema, load_scenario

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "scenarios" / "velro-prd.yaml"


@cache
def schema() -> Draft202012Validator:
    """What an editor checks a scenario file with: made once, which takes as long as reading a hundred files."""
    return Draft202012Validator(json_schema())


def shop() -> dict[str, Any]:
    """A sound scenario as plain values: two steps, one of which uses what the other captures, and one phase."""
    return {
        "name": "shop",
        "target": {"url": "http://127.0.0.1:8400"},
        "steps": [
            {"name": "list", "path": "/items", "capture": {"item": "$.items[0].id"}},
            {"name": "show", "path": "/items/${item}"},
        ],
        "profiles": {"full": [{"name": "load", "users": 10, "duration": "10 s", "rate": "20/s"}]},
    }


def load(data: object, folder: Path, environ: Mapping[str, str] | None = None) -> Scenario:
    """Write plain values as YAML and read them back through the reader."""
    path = folder / "scenario.yaml"
    # As JSON, which is YAML: PyYAML would write YAML 1.1, in which other plain words are numbers and flags.
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=1), encoding="utf-8")
    return load_scenario(path, environ or {})


def faults(data: object, folder: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    """What the reader finds wrong, without the folder's name."""
    with pytest.raises(ScenarioError) as caught:
        load(data, folder, environ)
    return [str(fault).replace(f"{folder}/", "") for fault in caught.value.faults]
