"""What every test shares: no variable of the developer's shell reaches the code, and hypothesis never fails for slowness."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import ssl
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.kinds import ROOT, kind_of, left_out, rank_of, started, turn_of, unmarked, watch_starts
from tests.steal import ignore_steal
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
    "house", deadline=None, derandomize=True, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "quick", deadline=None, derandomize=True, max_examples=8, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
ignore_steal()
watch_starts()

_make_context = httpx.create_ssl_context


@cache
def _context_of(*variables: str | None) -> ssl.SSLContext:
    return _make_context()


def _shared_context() -> ssl.SSLContext:
    """To read the authorities takes longer than most of the hundreds of tests with a client of the API: once is enough."""
    return _context_of(*map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")))


httpx.create_ssl_context = _shared_context
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Import all tests, each of several processes beginning with others of them, before they are collected.

    Compiling them takes most of a collection. Processes that go through them in the same order compile each of them; so each
    finds on its way what the others have left.
    """
    config = session.config
    worker = getattr(config, "workerinput", None)
    if worker is None or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    files = [each for each in sorted((ROOT / "tests").rglob("test_*.py")) if not left_out(each, config.option.markexpr)]
    first = len(files) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in files[first:] + files[:first]:
            # Whatever is wrong with it is reported when it is collected.
            with contextlib.suppress(Exception, pytest.skip.Exception):
                importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file of which no test is asked for is not even imported."""
    return True if collection_path.suffix == ".py" and left_out(collection_path, config.option.markexpr) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of tests and all that they import stay: no garbage collection has to go through them again."""
    # To import a library may start something: a test has not.
    started.clear()
    gc.collect()
    gc.freeze()


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """As in a process of its own, where nothing is set aside from garbage collection."""
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test gets the mark of its file, ``make unit`` runs those that have none; and the longest files are begun first."""
    for item in items:
        kind = kind_of(item.path)
        if kind is not None:
            item.add_marker(kind)
        hostile = item.get_closest_marker("hostile")
        if hostile is not None:
            # Its reports say it, also those of another process. A check is one test with one set of parameters.
            item.user_properties.append(("hostile", hostile.args[0]))
    items.sort(key=lambda item: rank_of(item.path))


class _InTurns(LoadFileScheduling):
    """One process runs a file's tests, and all files' that take turns anyway: no other one waits for them."""

    def _split_scope(self, nodeid: str) -> str:
        return turn_of(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """The scheduler of ``--dist loadfile``."""
    return _InTurns(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """What one test keeps secret is a word like any other to the next; and ``make unit`` starts nothing."""
    forget()
    events = [*started]
    started.clear()
    wrong = unmarked(events, (mark.name for mark in item.iter_markers()))
    if wrong:
        pytest.fail(wrong, pytrace=False)


_GROUPS: dict[str, Counter[str]] = {}
"""Of what hostile hands try: group -> how many checks there were, and how many ended as expected."""


@pytest.hookimpl
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, group in report.user_properties:
        if name == "hostile":
            seen = _GROUPS.setdefault(str(group), Counter())
            seen["checks"] += report.when == "setup"
            seen["failed"] += report.failed


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """With ``-m hostile``: the table of docs/security.md."""
    if config.option.markexpr != "hostile" or not _GROUPS:
        return
    rows = [(group, seen["checks"], seen["checks"] - seen["failed"]) for group, seen in sorted(_GROUPS.items())]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    terminalreporter.write_line("| group | checks | as expected |\n|---|---:|---:|")
    for group, checks, expected in rows:
        terminalreporter.write_line(f"| {group} | {checks:,} | {expected:,} |")
