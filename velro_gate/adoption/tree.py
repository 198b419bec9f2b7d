"""YAML as nodes that know their lines. Nothing is built from them, so no tag is obeyed and ``on`` stays a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml


@dataclass(frozen=True, slots=True)
class YamlNode:
    """A place in a YAML file. Asking it for what it has not gives the empty text, the empty list, or None."""

    node: yaml.Node

    @property
    def line(self) -> int:
        """Counted from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def text(self) -> str:
        """The scalar's text; empty for a mapping, a list and null."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag == "tag:yaml.org,2002:null":
            return ""
        return str(self.node.value)

    def items(self) -> Iterator[tuple[str, YamlNode]]:
        """Keys and values of a mapping."""
        if isinstance(self.node, yaml.MappingNode):
            for key, value in self.node.value:
                if isinstance(key, yaml.ScalarNode):
                    yield str(key.value), YamlNode(value)

    def entries(self) -> list[YamlNode]:
        """The entries of a list; a scalar counts as a list of itself, as GitHub has it."""
        if isinstance(self.node, yaml.SequenceNode):
            return [YamlNode(each) for each in self.node.value]
        return [self] if self.text else []

    def words(self) -> set[str]:
        """Every scalar in it. Each node is looked at once: an alias may lead back to where it stands."""
        found: set[str] = set()
        seen: set[int] = set()
        waiting = [self]
        while waiting:
            here = waiting.pop()
            if id(here.node) not in seen:
                seen.add(id(here.node))
                found.add(here.text)
                waiting += (*(value for _, value in here.items()), *here.entries())
        return found

    def get(self, *path: str) -> YamlNode | None:
        """The value at the end of a path of keys, or None."""
        here: YamlNode | None = self
        for key in path:
            here = dict(here.items()).get(key) if here is not None else None
        return here

    def text_at(self, *path: str) -> str:
        """The text at the end of a path of keys; empty where there is none."""
        found = self.get(*path)
        return found.text if found is not None else ""

    def line_of_key(self, key: str) -> int:
        """The line on which a key of this mapping stands; its own line where it has no such key."""
        if isinstance(self.node, yaml.MappingNode):
            for each, _ in self.node.value:
                if isinstance(each, yaml.ScalarNode) and each.value == key:
                    return int(each.start_mark.line) + 1
        return self.line
