"""From what was asked for to what can be run: scenario, profile, phases, secrets, feasibility. Sends nothing."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from velro_gate.cluster.connect import Cluster
from velro_gate.engine.faults.injector import Injector
from velro_gate.engine.http.tls import client_context
from velro_gate.engine.machine.forecast import MOST_SHARDS, shards_needed
from velro_gate.engine.machine.limits import MachineLimits
from velro_gate.errors import UsageError
from velro_gate.model.record import Plan
from velro_gate.model.scenario import BlockInconclusive, Phase, Scenario, Target
from velro_gate.monitor.sources.page_connection import PageRoute
from velro_gate.scenario import load_scenario, profile_digest, secrets, service_url, unproven_requirements
from velro_gate.secrecy import hide, name_openly

AUTO_SHARDS = "auto"
"""As many as the plan needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the user asked for on the command line; None: as the scenario says."""

    scenario: Path
    profile: str | None = None
    phases: tuple[str, ...] = ()
    url: str | None = None
    seed: int | None = None
    shards: int | None = None
    block_inconclusive: BlockInconclusive | None = None


def number_of_shards(text: str) -> int | None:
    """Processes to send the load with; None: as many as the plan needs.

    Raises:
        UsageError: the text is neither a number of them nor ``auto``.
    """
    if text == AUTO_SHARDS:
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_SHARDS:
        return int(text)
    raise UsageError(
        f"--shards {text} is not a number of shards", hint=f"Give a number from 1 to {MOST_SHARDS}, or {AUTO_SHARDS}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherUser:
    """Whom the commands of experiments run as."""

    line: tuple[str, ...]
    rights: Mapping[str, Any]
    """``line`` and ``rights``: its shell, as ``subprocess.Popen`` takes them."""
    folder: Path
    """A folder that belongs to this user."""
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Everything a run needs before its first request."""

    scenario: Scenario
    plan: Plan
    secrets: Mapping[str, str]
    shards: int | None = None
    """Processes to send with; None: as many as the plan needs."""
    start_seconds: float = 5.0
    """How long a service that does not answer yet may still be starting."""
    injector: Injector | None = None
    """Carries out experiments and holds the fault proxies, where the scenario has any and the run has begun."""
    user: OtherUser | None = None
    """Whom the commands of experiments run as; None: the user of this process."""
    cluster: Cluster | None = None
    """Whose workers send the load; None: this machine does."""

    def requiring_baseline(self) -> Self:
        """The same, to be judged as failed where no stored baseline can be compared with."""
        return replace(self, plan=replace(self.plan, policy=replace(self.plan.policy, require_baseline=True)))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases to run, in order."""
        return self.plan.phases

    @property
    def service_is_local(self) -> bool:
        """Whether the service runs on this machine, so that it shares our cores and can be watched."""
        target = self.scenario.target
        return target.unix_socket is not None or is_loopback(target.url)

    def shard_count(self, machine: MachineLimits) -> int:
        """How many processes send the load."""
        if self.cluster is not None:
            return self.cluster.count
        if self.shards is not None:
            return self.shards
        return shards_needed(self.phases, scenario=self.scenario, cores=machine.cores, service_is_local=self.service_is_local)


def page_route(target: Target) -> PageRoute:
    """The way that the load takes to the service, for its metrics page."""
    return PageRoute(
        tls=partial(client_context, target) if target.url.startswith("https:") else None,
        unix_socket=target.unix_socket,
        source_address=target.source_addresses[0] if target.source_addresses else None,
        http2=target.http2,
    )


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def prepare(asked: RunOptions, environ: Mapping[str, str], *, need_secrets: bool = True, run_code: bool = True) -> Setup:
    """Read the scenario and choose its phases. run_code: see ``load_scenario``.

    Raises:
        ScenarioError: the file has faults. MissingVariableError: a variable is not set. UsageError: no such profile
        or phase, or no URL.
    """
    settings = dict(environ)
    url = None if asked.url is None else service_url(asked.url, "--url")
    if url is not None:
        settings["VELRO_API_URL"] = url
    scenario = load_scenario(asked.scenario, settings, run_code=run_code)
    if url is not None:
        # Whoever names another place means neither the socket nor the replicas of this one.
        scenario = dataclasses.replace(
            scenario, target=dataclasses.replace(scenario.target, url=url, urls=(), unix_socket=None)
        )
    if asked.seed is not None:
        scenario = dataclasses.replace(scenario, seed=asked.seed)
    if asked.block_inconclusive is not None:
        policy = dataclasses.replace(scenario.policy, block_inconclusive=asked.block_inconclusive)
        scenario = dataclasses.replace(scenario, policy=policy)
    profile = _profile(scenario, asked.profile)
    phases = _phases(scenario.profiles[profile], asked.phases, profile)
    plan = Plan(
        scenario=scenario.name,
        digest=profile_digest(scenario, profile),
        profile=profile if not asked.phases else f"{profile}:{'+'.join(phase.name for phase in phases)}",
        steps=tuple(step.name for step in scenario.steps),
        phases=phases,
        policy=scenario.policy,
        # A URL may hold a password, and a record goes everywhere.
        metrics=tuple(replace(metric, place="", folders=()) for metric in scenario.metrics),
        compliance=scenario.compliance,
        unproven=unproven_requirements(scenario.profiles, phases),
    )
    hidden = secrets(scenario, settings) if need_secrets else {}
    hide(hidden.values())
    name_openly([plan.scenario, plan.profile, *plan.steps, *(phase.name for phase in phases)])
    return Setup(scenario=scenario, plan=plan, secrets=hidden, shards=asked.shards)


def _profile(scenario: Scenario, asked: str | None) -> str:
    if asked is None:
        return "pr" if "pr" in scenario.profiles else next(iter(scenario.profiles))
    if asked in scenario.profiles:
        return asked
    raise UsageError(
        f"the scenario {scenario.name} has no profile {asked!r}{_meant(asked, scenario.profiles)}",
        hint=f"Choose one of: {', '.join(scenario.profiles)}.",
    )


def _phases(available: Sequence[Phase], asked: Sequence[str], profile: str) -> tuple[Phase, ...]:
    names = [phase.name for phase in available]
    for name in asked:
        if name not in names:
            raise UsageError(
                f"the profile {profile} has no phase {name!r}{_meant(name, names)}", hint=f"Choose from: {', '.join(names)}."
            )
    return tuple(phase for phase in available if not asked or phase.name in asked)


def _meant(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f": did you mean {close[0]!r}?" if close else ""
