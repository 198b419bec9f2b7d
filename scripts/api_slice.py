"""Cut from GitHub's own OpenAPI description the paths that velro-gate calls: types and limits, no prose.

The API stand-in for the tests checks every request and response against the slice. The description comes from the npm package
@octokit/openapi:

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    .venv/bin/python scripts/api_slice.py package/generated/api.github.com.json > tests/github/openapi.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPO = "/repos/{owner}/{repo}"
CALLED: dict[str, tuple[str, ...]] = {
    f"{REPO}": ("get",),
    f"{REPO}/pulls": ("get", "post"),
    f"{REPO}/pulls/{{pull_number}}": ("get", "patch"),
    f"{REPO}/pulls/{{pull_number}}/files": ("get",),
    f"{REPO}/issues/{{issue_number}}/comments": ("get", "post"),
    f"{REPO}/issues/comments/{{comment_id}}": ("patch", "delete"),
    f"{REPO}/statuses/{{sha}}": ("post",),
    f"{REPO}/commits/{{ref}}/statuses": ("get",),
    f"{REPO}/actions/artifacts": ("get",),
    f"{REPO}/actions/runs/{{run_id}}/artifacts": ("get",),
    f"{REPO}/actions/runs/{{run_id}}/approvals": ("get",),
    f"{REPO}/actions/artifacts/{{artifact_id}}/{{archive_format}}": ("get",),
}
_PROSE = frozenset({"summary", "externalDocs", "example", "examples", "tags", "title", "deprecated"})
_NAMES_AS_KEYS = frozenset({"properties", "parameters", "schemas", "responses", "headers", "patternProperties"})


def sliced(whole: dict[str, Any]) -> dict[str, Any]:
    """The smallest description that still says everything about the types of the paths in ``CALLED``."""
    paths = {
        path: {method: _bare(whole["paths"][path][method], names=False) for method in methods}
        for path, methods in CALLED.items()
    }
    components: dict[str, dict[str, Any]] = {}
    waiting = list(_references(paths))
    while waiting:
        kind, name = waiting.pop().removeprefix("#/components/").split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = _bare(whole["components"][kind][name], names=False)
            waiting += _references(components[kind][name])
    info = {"title": "a slice of GitHub's REST API", "version": whole["info"]["version"]}
    return {"openapi": whole["openapi"], "info": info, "servers": [{"url": "/"}], "paths": paths, "components": components}


def _bare(tree: Any, *, names: bool) -> Any:
    """A part without prose. names: the keys of this mapping are names that somebody chose, and all stay."""
    if isinstance(tree, list):
        return [_bare(item, names=False) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kept = {key: value for key, value in tree.items() if names or not (_is_prose(key, value))}
    bare = {key: _bare(value, names=not names and key in _NAMES_AS_KEYS) for key, value in kept.items()}
    if (
        not names
        and isinstance(tree.get("description"), str)
        and "schema" not in tree
        and "type" not in tree
        and "$ref" not in tree
    ):
        # The standard asks for a description of every response.
        bare["description"] = ""
    return bare


def _is_prose(key: str, value: Any) -> bool:
    return key in _PROSE or key.startswith("x-") or (key == "description" and isinstance(value, str))


def _references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _references(item)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} api.github.com.json")
    description = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps(sliced(description), sort_keys=True, separators=(",", ":")))
