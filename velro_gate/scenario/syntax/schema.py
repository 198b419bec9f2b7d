"""The JSON Schema of a scenario file, made from the models that read it, so that it cannot drift from them."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from velro_gate.scenario.syntax.shape import FileSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Described(GenerateJsonSchema):
    """Leaves out the titles that only repeat a key: an editor shows the description in their stead."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - its caller gives it
        """Never: see the class."""
        return False


def json_schema() -> dict[str, object]:
    """The schema as plain values; it accepts every file that the reader accepts, and describes each key for an editor."""
    schema = FileSpec.model_json_schema(by_alias=True, schema_generator=_Described)
    return {"$schema": DIALECT, **schema, "title": "velro-gate scenario"}
