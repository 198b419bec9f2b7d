"""What all parts of a scenario file have in common: unknown keys are faults, and each part knows its lines."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, PrivateAttr, ValidationInfo, model_validator

from velro_gate.scenario.syntax.quantities import Short
from velro_gate.scenario.syntax.tree import line_of


class Spec(BaseModel):
    """A mapping of the file: unknown keys are faults, and it knows its lines."""

    # Deferred: otherwise each part is built for itself, and once more inside of every part that holds it.
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), strict=True, defer_build=True)
    _source: object = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_source(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(info.context, dict):
            info.context[id(data)] = cls
        made = handler(data)
        made._source = data
        return made

    def line(self, *path: object) -> int:
        """The line of a place below this mapping, by the keys as written in the file."""
        return line_of(self._source, path)

    def written(self, key: str) -> str:
        """How the number or boolean under a key is written in the file; empty for anything else."""
        words: dict[str, str] = getattr(self._source, "written", {})
        return words.get(key, "")

    @property
    def has_lines(self) -> bool:
        """Whether it was written as a mapping; a shorter form knows no line of its own."""
        return hasattr(self._source, "line")

    @classmethod
    def keys(cls) -> list[str]:
        """The keys that are allowed here."""
        return [field.alias or name for name, field in cls.model_fields.items()]


def only(default: Any, **rules: Any) -> Any:
    """A field that is one of several alternatives: its default only stands in for "not given" and is no advice to a writer."""

    def hide_default(schema: dict[str, Any]) -> None:
        """A default in the schema would be offered by editors as if it had to be written."""
        schema.pop("default", None)

    return Field(default, json_schema_extra=hide_default, **rules)


def one_key(key: str) -> Short:
    """A bare string means a mapping with this one key."""
    return Short(lambda given: {key: given} if isinstance(given, str) else given, (("type", "string"),))


def exactly_one(model: Spec, names: tuple[str, ...], what: str) -> None:
    """Refuse a mapping that has none of these keys, or more than one.

    Raises:
        ValueError: it has not exactly one.
    """
    given = [name for name in names if name in model.model_fields_set]
    if len(given) != 1:
        shown = [str(type(model).model_fields[name].alias or name) for name in names]
        state = "none is given" if not given else f"{len(given)} are given"
        raise ValueError(f"{what} needs exactly one of {', '.join(shown)}; {state}")
