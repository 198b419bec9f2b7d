"""A scenario file -> Scenario. Reads every part before it complains, so that one reading reports every fault."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from velro_gate.bounded import read_written
from velro_gate.model.metric.own import OWN
from velro_gate.model.metrics import METRICS, Needs, Role
from velro_gate.model.scenario import (
    ALL_STEPS,
    Auth,
    BearerAuth,
    CacheHeaders,
    Feeder,
    LoginAuth,
    NoAuth,
    Phase,
    Policy,
    Requirement,
    Scenario,
    Step,
)
from velro_gate.scenario.digest import scenario_digest
from velro_gate.scenario.experiments import ExperimentReader
from velro_gate.scenario.feeders import feeder_from
from velro_gate.scenario.journeys.lookup import journey_from
from velro_gate.scenario.limits import Key, limits_of_step, requirements_from
from velro_gate.scenario.own_metrics import own_metrics_from
from velro_gate.scenario.profiles import profiles_of
from velro_gate.scenario.proxies import proxies_from
from velro_gate.scenario.steps import check_headers, check_label, check_step, label_from, step_from
from velro_gate.scenario.syntax.compliance import compliance_from, is_figure
from velro_gate.scenario.syntax.draft import draft_of
from velro_gate.scenario.syntax.faults import Faults, did_you_mean
from velro_gate.scenario.syntax.literals import refuse_literal_secrets
from velro_gate.scenario.syntax.shape import FileSpec, PolicySpec, StepSpec, TargetSpec
from velro_gate.scenario.syntax.templates import Vocabulary, check_template
from velro_gate.scenario.syntax.tree import LinedDict, LinedValue, read_tree
from velro_gate.scenario.target import missing_variables, page_check, target_from
from velro_gate.units import format_count


def load_scenario(path: Path, environ: Mapping[str, str], *, run_code: bool = True) -> Scenario:
    """The scenario of a file, resolved: profiles spelled out, feeders read, the target's variables put in.

    environ is read for the variables under ``target`` only; secrets are read later, by ``secrets``. run_code: import a journey
    written in Python, to see that it can be; else it is only found.

    Raises:
        ScenarioError: the file cannot be used; holds every fault with file:line and, where one is near, what may be meant.
        MissingVariableError: the file is sound, but variables of its target are unset and have no default.
    """
    faults = Faults(str(path))
    root = _root(path, faults)
    missing: dict[str, list[str]] = {}
    scenario = None if root is None else _resolved(root, path, environ, faults, missing, run_code)
    faults.raise_all()
    if missing:
        raise missing_variables(missing, where=str(path))
    assert scenario is not None
    return replace(scenario, digest=scenario_digest(scenario))


def scenario_name(path: Path) -> str:
    """The name that a file gives its scenario. Of the rest only the shape is checked: no variable has to be set for it.

    Raises:
        ScenarioError: the file cannot be used.
    """
    faults = Faults(str(path))
    root = _root(path, faults)
    draft = None if root is None else draft_of(root, faults)
    faults.raise_all()
    assert draft is not None
    return draft.name


def _root(path: Path, faults: Faults) -> LinedDict | None:
    text = _text(path, faults)
    root = None if text is None else read_tree(text, faults)
    if root is None or isinstance(root, LinedDict):
        return root
    faults.add(1, "a scenario is a mapping of keys such as 'name:' and 'steps:'", "start from scenarios/velro-prd.yaml")
    return None


def _text(path: Path, faults: Faults) -> str | None:
    try:
        return read_written(path)
    except FileNotFoundError:
        siblings = [found.name for found in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        faults.add(1, "there is no such file", did_you_mean(path.name, siblings))
    except UnicodeDecodeError:
        faults.add(1, "the file is not UTF-8 text")
    except OSError as error:
        faults.add(1, f"the file cannot be read: {error.strerror}")
    return None


class _AnyName(frozenset[str]):
    """The names of the steps of a file that names none: none of its requirements is at fault for that."""

    def __contains__(self, _: object) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """Names as they stand in the file, readable or not: a reference to an unreadable thing is not a second fault."""

    steps: frozenset[str]
    captures: frozenset[str]
    feeders: frozenset[str]
    phases: Mapping[str, Collection[str]]


def _resolved(
    root: LinedDict, path: Path, environ: Mapping[str, str], faults: Faults, missing: dict[str, list[str]], run_code: bool
) -> Scenario | None:
    refuse_literal_secrets(root, faults)
    draft = draft_of(root, faults)
    if draft is None:
        return None
    _require_paths(root, faults)
    written = _written(root, draft)
    target = target_from(draft.target, environ, path.parent, faults, missing)
    feeders = _feeders(draft, path.parent, faults)
    steps, auth = _journey(draft, feeders, written, faults)
    journey = None
    if draft.journey is not None:
        journey = journey_from(draft.journey, path.parent, faults, draft.line("journey"), run_code=run_code)
        _refuse_of_steps(draft.target, faults)
        for name, spec in draft.metrics.items():
            if spec.header or spec.json_path:
                what = f"the metric {name!r} looks at responses, which a journey written in Python does itself"
                faults.add(spec.line(), what, "count it in a collector")
        if draft.target.http2 and find_spec("h2") is None:
            faults.add(draft.target.line("http2"), "HTTP/2 needs the package h2, which is not installed", "pip install h2")
    elif draft.target.http2:
        faults.add(draft.target.line("http2"), "'http2' is for journeys written in Python only", "remove it")
    metrics = own_metrics_from(draft.metrics, written.steps, path.parent, page_check(environ, faults, missing), faults)
    own = {f"{OWN}.{metric.name}": metric.metric for metric in metrics}
    profiles = profiles_of(
        specs=draft.profiles,
        lines={name: draft.line("profiles", name) for name in draft.profiles},
        written=written.phases,
        everywhere=_everywhere(draft, written, own, faults),
        steps=written.steps,
        own=own,
        faults=faults,
        journeys=draft.journey is not None,
        experiments=ExperimentReader(
            seed=draft.seed, proxies=frozenset({*_keys(root.get("proxies")), *draft.proxies}), steps=written.steps
        ),
    )
    proxies = proxies_from(draft, environ, faults, missing)
    _check_unique_rows(draft, feeders, profiles, faults)
    policy = _policy(draft.policy, written.steps, own, faults)
    compliance = compliance_from(draft.compliance, written.steps, faults)
    if faults or target is None:
        return None
    return Scenario(
        name=draft.name,
        description=draft.description.strip(),
        digest="",
        target=target,
        auth=auth,
        steps=tuple(steps),
        feeders=tuple(feeders.values()),
        profiles=profiles,
        policy=policy,
        compliance=compliance,
        seed=draft.seed,
        cookies=draft.cookies,
        journey=journey,
        metrics=metrics,
        cache=CacheHeaders(
            hit=draft.cache.hit, layer=draft.cache.layer, age=draft.cache.age, layers=tuple(dict.fromkeys(draft.cache.layers))
        ),
        proxies=proxies,
    )


def _refuse_of_steps(target: TargetSpec, faults: Faults) -> None:
    """What the target says of the requests that a walk over steps makes; a journey's client says it itself."""
    for key, instead in (("follow_redirects", "follow_redirects=True"), ("compression", 'headers={"Accept-Encoding": ...}')):
        if key in target.model_fields_set:
            faults.add(target.line(key), f"a journey written in Python sets {key!r} itself", f"client.get(..., {instead})")


def _written(root: LinedDict, draft: FileSpec) -> _Written:
    steps = [step for step in _items(root.get("steps")) if isinstance(step, LinedDict)]
    captures = {name for step in steps for name in _keys(step.get("capture"))}
    profiles = root.get("profiles")
    phases: dict[str, Collection[str]] = {}
    for name in _keys(profiles):
        profile = profiles[name] if isinstance(profiles, LinedDict) else None
        listed = profile.get("phases") if isinstance(profile, LinedDict) else profile
        phases[name] = [str(phase.get("name")) if isinstance(phase, LinedDict) else str(phase) for phase in _items(listed)]
    named = frozenset(str(step["name"]) for step in steps if "name" in step)
    return _Written(
        steps=named | {step.name for step in draft.steps} if named else _AnyName(),
        captures=frozenset(captures - {name for step in draft.steps for name in step.capture}),
        feeders=frozenset(_keys(root.get("feeders"))),
        phases=phases,
    )


def _require_paths(root: LinedDict, faults: Faults) -> None:
    """A step is a request and needs a path, unless it is a label for those of a journey written in Python."""
    auth = root.get("auth")
    login = auth.get("login") if isinstance(auth, LinedDict) else None
    steps = [] if root.get("journey") is not None else _items(root.get("steps"))
    for step in (*steps, login.get("step") if isinstance(login, LinedDict) else None):
        if isinstance(step, LinedDict) and "path" not in step:
            faults.add(step.line, "the key 'path' is missing")


def _items(value: LinedValue) -> list[LinedValue]:
    return value if isinstance(value, list) else []


def _keys(value: LinedValue) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _feeders(draft: FileSpec, folder: Path, faults: Faults) -> dict[str, Feeder]:
    found: dict[str, Feeder] = {}
    for name, spec in draft.feeders.items():
        feeder = feeder_from(spec, name=name, folder=folder, seed=draft.seed, faults=faults, line=draft.line("feeders", name))
        if feeder is not None:
            found[name] = feeder
    return found


def _journey(draft: FileSpec, feeders: Mapping[str, Feeder], written: _Written, faults: Faults) -> tuple[list[Step], Auth]:
    """Steps and authorisation, checked in the order in which a user sends them: login first. With a journey written in Python
    the steps are mere labels.
    """
    check, made = (check_step, step_from) if draft.journey is None else (check_label, label_from)
    columns = {name: feeders[name].columns if name in feeders else None for name in written.feeders}
    known = Vocabulary(feeders=columns, captured=set(written.captures))
    known.later = {name: step.name for step in reversed(draft.steps) for name in step.capture}
    check_headers(draft.headers, lambda name: draft.line("headers", name), faults)
    auth = _auth(draft, known, faults)
    steps: list[Step] = []
    if not isinstance(auth, NoAuth):
        _refuse_own_authorization(draft, faults)
    for spec in draft.steps:
        if any(spec.name == step.name for step in steps):
            faults.add(spec.line("name"), f"the step {spec.name!r} is given twice", "give each step a name of its own")
        check(spec, known, faults)
        _check_shared_headers(draft, known, faults)
        known.captured.update(spec.capture)
        if spec.name != ALL_STEPS:
            steps.append(made(spec, draft.headers))
    return steps, auth


def _check_shared_headers(draft: FileSpec, known: Vocabulary, faults: Faults) -> None:
    """Shared headers are sent with every step, so each placeholder must have a value at each of them."""
    for name, value in draft.headers.items():
        line = draft.line("headers", name)
        check_template(value, known, faults.at(line))


def _refuse_own_authorization(draft: FileSpec, faults: Faults) -> None:
    """Two Authorization headers in one request would leave it to the service which one counts."""
    owners: list[FileSpec | StepSpec] = [draft, *draft.steps]
    for owner in owners:
        for name in owner.headers:
            if name.lower() == "authorization":
                faults.add(owner.line("headers", name), "'auth' sets the Authorization header already", "keep one of the two")


def _auth(draft: FileSpec, known: Vocabulary, faults: Faults) -> Auth:
    if draft.auth.bearer:
        return BearerAuth(variable=draft.auth.bearer)
    login = draft.auth.login
    if login is None:
        return NoAuth()
    if draft.journey is not None:
        faults.add(draft.line("auth"), "a journey written in Python logs in itself", "send the login from its code")
        return NoAuth()
    known.later.update(dict.fromkeys(login.step.capture, login.step.name))
    check_step(login.step, known, faults)
    _check_shared_headers(draft, known, faults)
    if login.token not in login.step.capture:
        hint = did_you_mean(login.token, login.step.capture) or f"capture: {{{login.token}: $.access_token}}"
        faults.add(login.line("token"), f"the login step does not capture {login.token!r}", hint)
    known.captured.update(login.step.capture)
    return LoginAuth(step=step_from(login.step, draft.headers), token=login.token)


def _everywhere(draft: FileSpec, written: _Written, own: Mapping[str, str], faults: Faults) -> dict[Key, Requirement]:
    """What every phase requires: the limits of the steps, and the requirements at the top of the file, which give way."""
    found = requirements_from(draft, draft.requirements, "scenario", written.steps, faults, own)
    for step in draft.steps:
        found.update(limits_of_step(step, step.name, step.limits, faults))
    return found


def _check_unique_rows(
    draft: FileSpec, feeders: Mapping[str, Feeder], profiles: Mapping[str, tuple[Phase, ...]], faults: Faults
) -> None:
    sizes = [(phase.users, profile, phase.name) for profile, phases in profiles.items() for phase in phases]
    users, profile, phase = max(sizes, default=(0, "", ""))
    for name, feeder in feeders.items():
        if feeder.unique and len(feeder.rows) < users:
            rows, needed = format_count(len(feeder.rows)), format_count(users)
            what = f"feeder {name!r} is unique and has {rows} rows, but {profile}/{phase} has {needed} users"
            faults.add(draft.line("feeders", name), what, "add rows, or drop 'unique'")


def _policy(spec: PolicySpec, steps: Collection[str], own: Mapping[str, str], faults: Faults) -> Policy:
    given = {
        name: value for name in PolicySpec.model_fields if name != "primary" and (value := getattr(spec, name)) is not None
    }
    primary = None if spec.primary is None else _primary(spec, spec.primary, steps, own, faults)
    try:
        # Where every name was at fault, that is fault enough.
        return Policy(**given, primary=primary or None)
    except ValueError as error:
        faults.add(spec.line(), f"policy: {error}")
        return Policy()


def _primary(
    spec: PolicySpec, names: list[str], steps: Collection[str], own: Mapping[str, str], faults: Faults
) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for index, name in enumerate(names):
        # The name of one of the scenario's own metrics may hold a dot that does not divide step and metric.
        step, dot, written = ("", "", name) if name in own else name.rpartition(".")
        metric = own.get(written, written)
        step, line = step if dot else ALL_STEPS, spec.line("primary", index)
        if not is_figure(step, metric, steps, line, faults):
            continue
        if Needs.SEARCH in METRICS[metric].needs:
            faults.add(line, f"{metric} is not measured by a run", "'velro-gate capacity' compares it")
        elif METRICS[metric].role is Role.NEVER:
            faults.add(line, f"{metric} is never compared with other runs", "require it of a phase instead")
        elif (step, metric) in found:
            faults.add(line, f"{name!r} is given twice")
        else:
            found.append((step, metric))
    return tuple(found)
