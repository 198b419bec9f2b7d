"""Which environment variables a scenario needs while it runs, and their values: the only place that reads secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from velro_gate.model.resilience.experiment import Action, RequestAction
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
                yield from ((name, f"experiment {experiment.name}") for name in _of_requests(experiment.action))
    for step in steps:
        yield from ((name, f"{place} of step {step.name}") for name, place in variables_of(step))


def _of_requests(action: Action) -> Iterator[str]:
    if isinstance(action, RequestAction):
        for request in (action.begin, action.undo_by):
            for text in () if request is None else (request.path, request.body):
                yield from (name.removeprefix("env.") for name in names_in(text) if name.startswith("env."))
