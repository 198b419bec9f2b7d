"""What every test shares: no variable of the developer's shell reaches the code, and hypothesis never fails for slowness."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from velro_gate.secrecy import forget

# A test that needs one of these hands it over itself.
for name in (
    "VELRO_API_URL",
    "SUPABASE_SERVICE_KEY",
    "REDIS_URL",
    "DATABASE_URL",
    "GITHUB_TOKEN",
    "GITHUB_ACTIONS",
    "NO_COLOR",
):
    os.environ.pop(name, None)

# The machine that runs the tests may be busy: a deadline would test the machine. Derandomised, so that a run is repeatable.
settings.register_profile(
    "house", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """What one test keeps secret is a word like any other to the next."""
    forget()
