"""Whole answers made from GitHub's own description: every required field of a schema, the known ones with their real values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

DESCRIPTION = Path(__file__).with_name("openapi.json")
_FORMATS = {"date-time": "2026-11-24T12:00:00Z", "uri": "https://github.example/x", "email": "a@github.example"}


@cache
def description() -> dict[str, Any]:
    """The slice of GitHub's description (scripts/api_slice.py makes it)."""
    found: dict[str, Any] = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return found


def sample(name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """An answer of the schema with that name. known: values by field, nested like the answer; fields beyond it are an error."""
    made = _filled({"$ref": f"#/components/schemas/{name}"}, known)
    assert isinstance(made, dict)
    return made


def _filled(schema: Mapping[str, Any], known: Any) -> Any:
    schema = _resolved(schema)
    if schema.get("type") == "object" or "properties" in schema:
        return _object(schema, known or {})
    if known is not None:
        return known
    return _least(schema)


def _object(schema: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    unknown = set(known) - set(properties)
    assert not unknown, f"the description has no {sorted(unknown)}"
    wanted = [name for name in properties if name in schema.get("required", ()) or name in known]
    return {
        name: None
        if name in known and known[name] is None
        else _filled(properties[name], known.get(name))
        if name in known or not _resolved(properties[name]).get("nullable")
        else None
        for name in wanted
    }


def _least(schema: Mapping[str, Any]) -> Any:
    """The plainest value of a type."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "string":
            return _FORMATS.get(schema.get("format", ""), "x")
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "array":
            return []
    return None


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while True:
        if "$ref" in schema:
            found: Any = description()
            for key in schema["$ref"].removeprefix("#/").split("/"):
                found = found[key]
            schema = found
        elif "allOf" in schema:
            schema = schema["allOf"][0]
        elif "anyOf" in schema or "oneOf" in schema:
            schema = (schema.get("anyOf") or schema["oneOf"])[0]
        else:
            return schema
