"""From the choices of a repository to the files it begins with; pure but for the templates, which travel in this package."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import PurePosixPath

from jinja2 import Environment, PackageLoader, StrictUndefined

from velro_gate.adoption.choices import Choices

WORKFLOWS = ("perf-gate", "perf-baseline", "perf-dispatch", "perf-report-fork", "perf-nightly")
CLUSTER, HEAD_LABEL = "perf-cluster", "velro-head"
"""The workflow of a cluster, where there is one, and the label of the runner that is its head."""

WAIVERS = "velro-waivers.yaml"
ACTIONLINT = ".github/actionlint.yaml"
KNOWN_LABELS = frozenset({"self-hosted", "linux", "windows", "macos", "x64", "x86", "arm", "arm64"})
"""Labels that GitHub gives itself; actionlint knows them."""

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0"
"""Pinned by commit: a tag can be moved to other code, a commit cannot."""

_PLAIN = re.compile(r"[A-Za-z./][\w./:@+-]*( [\w./:@+-]+)*")
_WORDS_OF_YAML = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def render_files(choices: Choices) -> dict[str, str]:
    """The files, by their path in the repository: workflows, what linters have to know of them, scenario, waivers."""
    labels = (*choices.labels, HEAD_LABEL) if choices.cluster_workers else choices.labels
    values = {
        "action": choices.action,
        "bearer": choices.bearer,
        "build": choices.build,
        "checkout": CHECKOUT,
        "cluster_head": choices.cluster_head,
        "cluster_numbers": ", ".join(map(str, range(1, choices.cluster_workers + 1))),
        "cluster_workers": choices.cluster_workers,
        "dispatch_minutes": choices.dispatch_minutes,
        "duet": choices.duet,
        # Two builds, and a duet of twenty minutes.
        "gate_minutes": choices.minutes + 30 if choices.duet else choices.minutes,
        "health": choices.health,
        "hosted": choices.hosted,
        "main": choices.main,
        "minutes": choices.minutes,
        "head_runs_on": f"[{', '.join((*choices.labels, HEAD_LABEL))}]",
        "own_labels": [label for label in labels if label.lower() not in KNOWN_LABELS],
        # The selftest takes ten, its packages a few.
        "night_minutes": choices.minutes + 15,
        "package": _package(choices.action),
        # Baselines are kept by this name, not by that of a runner, which is another one in each job where runners come and go.
        "pool": "-".join(choices.labels),
        "profile": choices.profile,
        "resilience": choices.resilience.partition(":")[0],
        "resilience_profile": choices.resilience.partition(":")[2],
        "runs_on": f"[{', '.join(choices.labels)}]",
        "scenario": choices.scenario,
        "start": choices.start,
        "status": choices.status,
        "store": choices.store,
        "upload": UPLOAD,
        "url": choices.url,
        "variables": choices.variables,
    }
    files = {f".github/workflows/{name}.yml": _rendered(f"{name}.yml.j2", values) for name in WORKFLOWS}
    if choices.cluster_workers:
        files[f".github/workflows/{CLUSTER}.yml"] = _rendered(f"{CLUSTER}.yml.j2", values)
    if values["own_labels"]:
        files[ACTIONLINT] = _rendered("actionlint.yaml.j2", values)
    files[choices.scenario] = _rendered(
        "velro-scenario.yaml.j2",
        values | {"name": PurePosixPath(choices.scenario).stem, "url": choices.url or "http://127.0.0.1:8000"},
    )
    files[WAIVERS] = _rendered("velro-waivers.yaml.j2", values)
    return files


def _package(action: str) -> str:
    """What pip installs on a cluster's machines: the commit that the other workflows use."""
    if action == "./":
        return ".[cluster]"
    repository, _, commit = action.partition("@")
    return f"velro-gate[cluster] @ git+https://github.com/{'/'.join(repository.split('/')[:2])}@{commit}"


def yaml_text(text: str) -> str:
    """A text as a YAML scalar that means this text and nothing else; JSON's strings are YAML's, too."""
    plain = _PLAIN.fullmatch(text) and ": " not in text and not text.endswith(":") and text.lower() not in _WORDS_OF_YAML
    return text if plain else json.dumps(text, ensure_ascii=False)


def _rendered(file: str, values: dict[str, object]) -> str:
    return _environment().get_template(file).render(values) + "\n"


@cache
def _environment() -> Environment:
    # GitHub's own expressions are written with double braces, so ours are not.
    environment = Environment(
        loader=PackageLoader("velro_gate.adoption"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML and no HTML; whatever goes in has the form that Choices demands
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters["yaml_text"] = yaml_text
    return environment
