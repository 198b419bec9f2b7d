"""What a repository decides when it adopts the gate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from velro_gate.errors import UsageError

STORES = ("branch", "push", "pull-request", "artifact", "none")

_FORMS = {
    # As the doctor demands: a tag or a branch can be moved to other code.
    "action": (
        r"\./|[\w.-]+/[\w.-]+(/[\w./-]+)?@([0-9a-f]{40}|[0-9a-f]{64})",
        "owner/repository@ and a commit with all its 40 digits, or ./ in velro-gate's own repository",
    ),
    "main": (r"[\w][\w./+-]*", "the name of a branch"),
    "url": (r"(https?://[^\s'\"{}<>]+)?", "an address that begins with http:// or https://"),
    "health": (r"/[^\s'\"{}<>]*", "a path that begins with /"),
    "scenario": (r"(?!/)(?!.*\.\.)[\w./-]+\.ya?ml", "the path of a YAML file inside the repository"),
    "profile": (r"[\w:.-]*", "the name of a profile"),
    "status": (r"[\w][\w /.:-]{0,99}", "a name of letters, digits, blanks and / . : -"),
    "resilience": (
        r"((?!/)(?!.*\.\.)[\w./-]+\.ya?ml(:[\w.-]+)?)?",
        "the path of a YAML file inside the repository, with a profile after a colon if it is not the first one",
    ),
    "bearer": (r"([A-Z_][A-Z0-9_]*)?", "the name of an environment variable"),
    "cluster_head": (r"([\w][\w.-]*)?", "the name of a machine"),
    "hosted": (r"[\w.-]+", "the label of a hosted runner"),
}
MOST_WORKERS = 256
"""Jobs that a matrix of GitHub may have."""

_LABEL = re.compile(r"[\w.-]+")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_EXPRESSION = re.compile(r"[a-zA-Z_][\w-]*(\.[\w-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One repository's answers; whatever goes into a workflow file has a form that cannot break out of its place there.

    Raises:
        UsageError: an answer has not the form that it needs.
    """

    action: str
    """What ``uses:`` names."""
    main: str = "main"
    """The branch whose commits become baselines."""
    labels: tuple[str, ...] = ("self-hosted", "linux", "perf")
    """Labels of the runner that measures."""
    start: str = ""
    """A command that starts the service and returns, empty where it is there already."""
    duet: bool = False
    """Base and head are built by ``build`` and measured side by side; then ``start`` serves either on the port in PORT, in the
    foreground.
    """
    build: str = ""
    """A command that builds the service in a checkout of either version; used with ``duet`` only."""
    url: str = ""
    """Where the service answers; empty for the scenario's own target."""
    health: str = "/health"
    """The path that answers 200 once the service is ready."""
    scenario: str = "velro-scenario.yaml"
    """Where the scenario is, or will be."""
    profile: str = ""
    """Profile of the scenario; empty for the default."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the gate, each with the expression that fills it."""
    bearer: str = ""
    """The variable that holds the service's token."""
    store: str = "branch"
    """Where baselines live."""
    status: str = "velro-gate"
    """The name of the commit status."""
    resilience: str = ""
    """A scenario with experiments that runs each night, as PATH or PATH:PROFILE; or empty."""
    hosted: str = "ubuntu-24.04"
    """The runner for reports of forks."""
    cluster_workers: int = 0
    """How many jobs are workers of a cluster; 0 without one."""
    cluster_head: str = ""
    """The name of the machine at which they reach the cluster's head; empty without one."""
    minutes: int = 30
    """Time limit of a job for a push or a pull request."""
    dispatch_minutes: int = 180
    """Time limit of a job that somebody started by hand."""

    def __post_init__(self) -> None:
        for name, (form, meaning) in _FORMS.items():
            value = getattr(self, name)
            if not re.fullmatch(form, value):
                raise UsageError(f"{name} {value!r} cannot be used", hint=f"It has to be {meaning}.")
        for label in self.labels:
            if not _LABEL.fullmatch(label):
                raise UsageError(f"runner label {label!r} cannot be used", hint="Use letters, digits, '.', '_' and '-' only.")
        for name, expression in self.variables.items():
            if not _VARIABLE.fullmatch(name) or not _EXPRESSION.fullmatch(expression):
                raise UsageError(
                    f"variable {name}={expression} cannot be used",
                    hint="For example: API_TOKEN, or API_TOKEN=secrets.STAGING_TOKEN.",
                )
        if self.duet and not self.start:
            raise UsageError(
                "a duet needs a command that starts the service",
                hint="Give --start-command: a shell command that serves on the port in PORT and stays in the foreground.",
            )
        if self.duet and self.url:
            raise UsageError(
                "--url has no effect with a duet", hint="Leave --url out: both builds are started on ports of their own."
            )
        if self.build and not self.duet:
            raise UsageError("a build command needs a duet", hint="Add --duet, or build in the start command.")
        self._check_cluster()
        if not self.labels:
            raise UsageError("no runner label is named", hint="For example: self-hosted,linux,perf.")
        if self.store not in STORES:
            raise UsageError(f"store {self.store!r} is unknown", hint=f"Choose one of {', '.join(STORES)}.")

    def _check_cluster(self) -> None:
        if (self.cluster_workers > 0) != bool(self.cluster_head) or not 0 <= self.cluster_workers <= MOST_WORKERS:
            raise UsageError(
                "a cluster needs a number of workers and the name of its head",
                hint=f"Give --cluster-workers N, up to {MOST_WORKERS}, and --cluster-head HOST, by which they reach the head.",
            )
