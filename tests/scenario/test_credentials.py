"""Secrets are named in a scenario and read from the environment: all that are missing are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario.files import faults, load, shop
from velro_gate.errors import MissingVariableError
from velro_gate.model.scenario import BearerAuth, LoginAuth, NoAuth
from velro_gate.scenario import mask, required_variables, secrets

LOGIN = {
    "login": {
        "step": {
            "name": "login",
            "method": "POST",
            "path": "/login",
            "json": {"user": "ada", "password": "${env.PASSWORD}"},
            "capture": {"token": "$.access_token"},
        }
    }
}


def test_without_authorisation_nothing_is_required(tmp_path: Path) -> None:
    for auth in ({}, {"auth": None}, {"auth": "none"}, {"auth": {}}):
        scenario = load({**shop(), **auth}, tmp_path)
        assert scenario.auth == NoAuth()
        assert required_variables(scenario) == frozenset()
        assert secrets(scenario, {}) == {}


def test_bearer_alone_reads_the_service_key_of_the_seed(tmp_path: Path) -> None:
    scenario = load({**shop(), "auth": "bearer"}, tmp_path)
    assert scenario.auth == BearerAuth(variable="SUPABASE_SERVICE_KEY")
    assert secrets(scenario, {"SUPABASE_SERVICE_KEY": " key\n", "OTHER": "x"}) == {"SUPABASE_SERVICE_KEY": "key"}


def test_a_login_step_needs_the_variables_of_its_body(tmp_path: Path) -> None:
    scenario = load({**shop(), "auth": LOGIN}, tmp_path)
    assert isinstance(scenario.auth, LoginAuth)
    assert scenario.auth.token == "token"
    assert required_variables(scenario) == {"PASSWORD"}


def test_what_the_login_captures_is_known_to_every_step(tmp_path: Path) -> None:
    data = {**shop(), "auth": LOGIN}
    data["steps"][0]["headers"] = {"X-Token": "${token}"}
    assert load(data, tmp_path).steps[0].headers == (("X-Token", "${token}"),)


def test_a_shared_header_cannot_carry_the_token_that_the_login_is_to_fetch(tmp_path: Path) -> None:
    (fault,) = faults({**shop(), "auth": LOGIN, "headers": {"X-Token": "${token}"}}, tmp_path)
    assert "${token} is used before step 'login' captures it" in fault


@pytest.mark.parametrize("auth", ["bearer", LOGIN])
def test_authorization_is_set_in_one_place_only(tmp_path: Path, auth: object) -> None:
    data = {**shop(), "auth": auth, "headers": {"Authorization": "Basic ${env.BASIC}"}}
    (fault,) = faults(data, tmp_path)
    assert "'auth' sets the Authorization header already" in fault


def test_all_missing_variables_are_reported_with_the_place_that_needs_them(tmp_path: Path) -> None:
    data = {**shop(), "auth": {"bearer": "TOKEN"}}
    data["steps"][0] |= {"headers": {"X-Key": "${env.API_KEY}"}, "query": {"sig": "${env.SIGNATURE}"}}
    scenario = load(data, tmp_path)
    with pytest.raises(MissingVariableError) as caught:
        secrets(scenario, {"SIGNATURE": "s", "TOKEN": "  "})
    assert caught.value.exit_code == 2
    assert "API_KEY (needed by header X-Key of step list)" in caught.value.what
    assert "TOKEN (needed by auth: bearer)" in caught.value.what
    assert "SIGNATURE" not in caught.value.what


def test_the_values_of_secrets_are_nowhere_in_the_scenario(tmp_path: Path) -> None:
    data = {**shop(), "auth": "bearer"}
    environ = {"SUPABASE_SERVICE_KEY": "s3cr3t-value"}
    scenario = load(data, tmp_path, environ)
    assert "s3cr3t-value" not in repr(scenario)
    assert mask("token s3cr3t-value", secrets(scenario, environ).values()) == "token ***"


@pytest.mark.parametrize(
    "step",
    [
        {"headers": {"Authorization": "Bearer abcdefgh12345678"}},
        {"headers": {"authorization": "letmein"}},
        {"headers": {"apikey": "12345"}},
        {"headers": {"X-Anything": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"}},
        {"query": {"access_token": "abc"}},
        {"json": {"deep": [{"client_secret": "abc"}]}},
        {"body": "-----BEGIN RSA PRIVATE KEY-----"},
        {"json": {"note": "ghp_abcdefghijklmnop"}},
    ],
)
def test_a_credential_written_into_a_step_is_refused(tmp_path: Path, step: dict[str, object]) -> None:
    data = shop()
    data["steps"][1] |= step
    (fault,) = faults(data, tmp_path)
    assert "secrets are read from the environment only" in fault
    assert "${env.NAME}" in fault


@pytest.mark.parametrize(
    "step",
    [
        {"headers": {"Authorization": "Bearer ${env.TOKEN}"}},
        {"headers": {"Cookie": "session=${item}"}},
        {"json": {"password": "${env.PASSWORD}", "remark": "the bearer of bad news"}},
        {"headers": {"X-Request-Id": "0c1d1e0a-8f4e-4f2a-9a43-0f6f7a1b2c3d"}},
    ],
)
def test_a_placeholder_or_an_ordinary_value_is_no_credential(tmp_path: Path, step: dict[str, object]) -> None:
    data = shop()
    data["steps"][1] |= step
    assert load(data, tmp_path).steps[1].name == "show"
