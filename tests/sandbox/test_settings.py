from __future__ import annotations

import pytest

from velro_gate.errors import UsageError
from velro_gate.sandbox.settings import STEPS, Settings, known_step


def test_a_misspelt_step_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match="did you mean 'authorization_check'"):
        Settings(slow={"authorisation_check": 1.3})


def test_a_step_that_resembles_none_is_refused_with_the_list_of_all() -> None:
    with pytest.raises(UsageError) as refused:
        known_step("zzz")
    assert all(step in refused.value.hint for step in STEPS)
    assert "did you mean" not in refused.value.what


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_that_is_no_positive_number_is_refused(factor: float) -> None:
    with pytest.raises(UsageError, match="must be positive"):
        Settings(slow={"model_access": factor})


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70_000},
        {"port": -1},
        {"secret": "short"},
        {"users": 0},
        {"pool_size": 0},
        {"memory_entries": 0},
        {"breaker_failures": 0},
        {"memory_ttl": 0.0},
        {"shared_ttl": -1.0},
        {"token_ttl": 0.0},
        {"breaker_recovery": 0.0},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Settings(**wrong)  # type: ignore[arg-type]


def test_the_defaults_hold_the_connections_and_users_that_the_requirements_name() -> None:
    settings = Settings()
    assert settings.pool_size >= 200
    assert settings.users >= 15_000
    # Everything that is warmed fits: per user an access, a list and a medium.
    assert settings.memory_entries > 3 * settings.users
