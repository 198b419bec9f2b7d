"""Scenario files: YAML through pydantic into the model, every fault at once, secrets from the environment only."""

from __future__ import annotations

from velro_gate.model.masking import mask
from velro_gate.scenario.credentials import required_variables, secrets
from velro_gate.scenario.digest import profile_digest, scenario_digest
from velro_gate.scenario.reader import load_scenario, scenario_name
from velro_gate.scenario.syntax.compliance import unproven_requirements
from velro_gate.scenario.syntax.schema import json_schema
from velro_gate.scenario.target import service_url

__all__ = [
    "json_schema",
    "load_scenario",
    "mask",
    "profile_digest",
    "required_variables",
    "scenario_digest",
    "scenario_name",
    "secrets",
    "service_url",
    "unproven_requirements",
]
