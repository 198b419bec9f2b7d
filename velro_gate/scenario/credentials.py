"""Which environment variables a scenario needs while it runs, and their values: the only place that reads secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from velro_gate.model.resilience.experiment import Experiment, InvalidateAction, RequestAction
from velro_gate.model.resilience.probes import RedisCommand
from velro_gate.model.scenario import BearerAuth, LoginAuth, Scenario
from velro_gate.scenario.syntax.templates import names_in, variables_of
from velro_gate.scenario.target import missing_variables


def required_variables(scenario: Scenario) -> frozenset[str]:
    """The names of the variables that hold the scenario's secrets: the bearer token and every ``${env.NAME}`` of a step."""
    return frozenset(name for name, _ in _needs(scenario))


def secrets(scenario: Scenario, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The values of the required variables by name, without blanks around them.

    Raises:
        MissingVariableError: names every variable that is unset or empty, and what needs it.
    """
    found: dict[str, str] = {}
    missing: dict[str, list[str]] = {}
    for name, place in _needs(scenario):
        # A token pasted with its line break would end the header it is put in.
        value = environ.get(name, "").strip()
        if value:
            found[name] = value
        else:
            missing.setdefault(name, []).append(place)
    if missing:
        raise missing_variables(missing)
    return found


def _needs(scenario: Scenario) -> Iterator[tuple[str, str]]:
    steps = list(scenario.steps)
    match scenario.auth:
        case BearerAuth(variable=variable):
            yield variable, "auth: bearer"
        case LoginAuth(step=step):
            steps.append(step)
        case _:
            pass
    for phases in scenario.profiles.values():
        for phase in phases:
            for experiment in phase.experiments:
                yield from ((name, f"experiment {experiment.name}") for name in _of_requests(experiment))
    for step in steps:
        yield from ((name, f"{place} of step {step.name}") for name, place in variables_of(step))


def _of_requests(experiment: Experiment) -> Iterator[str]:
    """The variables in the requests of an experiment, and in the URL of the Redis that it speaks to."""
    for text in _texts(experiment):
        yield from (name.removeprefix("env.") for name in names_in(text) if name.startswith("env."))


def _texts(experiment: Experiment) -> Iterator[str]:
    match experiment.action:
        case RequestAction(begin=begin, undo_by=undo):
            yield from begin.texts
            yield from () if undo is None else undo.texts
        case InvalidateAction(by=by, read=read):
            yield from (by.url,) if isinstance(by, RedisCommand) else by.texts
            yield from () if read is None else read.request.texts
        case _:
            pass
    if experiment.verify is not None:
        yield from experiment.verify.write.texts
        yield from experiment.verify.read.texts
    if experiment.degraded is not None:
        yield from experiment.degraded.request.texts
