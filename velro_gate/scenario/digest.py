"""What load a scenario offers, as a hash: equal digests are comparable, whoever runs them against whatever URL."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from velro_gate.model.resilience.experiment import Experiment
from velro_gate.model.scenario import Auth, BearerAuth, Body, Feeder, LoginAuth, OpenArrivals, Phase, Scenario, Step, Target

_FORMAT = 1
"""Part of the hash: raised when the same content means another load than before."""


def profile_digest(scenario: Scenario, profile: str) -> str:
    """Hex SHA-256 over the load of one profile: steps or the journey's source, kind of authorisation, feeders, cookies,
    compression, redirects, phases.

    URL, socket, source addresses, certificates, secrets, requirements, policy and descriptions are not in it, nor is the seed
    itself: another seed draws another sample of the same load. The other profiles are not in it either, so editing one orphans
    no baseline of another.

    Raises:
        KeyError: when there is no such profile.
    """
    return _profile(scenario, profile, _common(scenario))


def scenario_digest(scenario: Scenario) -> str:
    """Hex SHA-256 over the load of all profiles."""
    common = _common(scenario)
    return _hash({name: _profile(scenario, name, common) for name in scenario.profiles})


def _profile(scenario: Scenario, profile: str, common: object) -> str:
    return _hash([common, [_phase(phase) for phase in scenario.profiles[profile]]])


def _common(scenario: Scenario) -> dict[str, object]:
    common: dict[str, object] = {
        "format": _FORMAT,
        "steps": [_step(step) for step in scenario.steps],
        "auth": _auth(scenario.auth),
        "cookies": scenario.cookies,
        "feeders": {feeder.name: _feeder(feeder) for feeder in scenario.feeders},
        **_asked_of_all(scenario.target),
    }
    # Only where there is one, so that every other plan keeps the digest that it had.
    if scenario.journey is not None:
        common["journey"] = [scenario.journey.function, scenario.journey.source, scenario.target.http2]
    return common


def _asked_of_all(target: Target) -> dict[str, object]:
    """What the target says about every request. Defaults are left out, so that older digests stay what they were."""
    asked: dict[str, object] = {}
    if target.compression != "none":
        asked["compression"] = target.compression
    if target.follow_redirects:
        asked["follow_redirects"] = target.follow_redirects
    return asked


def _step(step: Step) -> dict[str, object]:
    # What is a mapping in the file is sorted here, so that the order of its keys does not matter.
    return {
        **asdict(step),
        "body": _body(step.body),
        "headers": sorted(step.headers),
        "query": sorted(step.query),
        "expect_status": sorted(step.expect_status),
        "captures": sorted([capture.name, capture.source, capture.path] for capture in step.captures),
        "checks": [[type(check).__name__, asdict(check)] for check in step.checks],
    }


def _body(body: Body | None) -> object:
    if body is None:
        return None
    said = {"template": body.template, "content_type": body.content_type}
    return {**said, "chunked": True} if body.chunked else said


def _auth(auth: Auth) -> object:
    match auth:
        case BearerAuth():
            return "bearer"
        case LoginAuth(step=step, token=token):
            return ["login", _step(step), token]
        case _:
            return "none"


def _feeder(feeder: Feeder) -> object:
    order = sorted(range(len(feeder.columns)), key=feeder.columns.__getitem__)
    columns = [feeder.columns[index] for index in order]
    # One encoder for all of up to a million rows: json.dumps spends most of its time on the way to its own.
    encode, rows = json.JSONEncoder().encode, hashlib.sha256()
    for row in feeder.rows:
        rows.update(encode([row[index] for index in order]).encode())
    return [columns, len(feeder.rows), rows.hexdigest()]


def _phase(phase: Phase) -> dict[str, object]:
    arrivals = phase.arrivals
    kind = "open" if isinstance(arrivals, OpenArrivals) else "closed"
    # What they are is the scenario's to say.
    pace = {name: value for name, value in asdict(arrivals).items() if name != "journeys"}
    said = {"name": phase.name, "users": phase.users, "ramp": phase.ramp, "duration": phase.duration, kind: pace}
    # Only where there are any, so that every other plan keeps the digest that it had.
    return {**said, "experiments": [_experiment(each) for each in phase.experiments]} if phase.experiments else said


def _experiment(experiment: Experiment) -> dict[str, object]:
    """What is broken and what is looked at, without the limits: a stricter one does not make another load of it."""
    said = asdict(experiment)
    return {**said, "expected": [{**one, "limit": None} for one in said["expected"]]}


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
