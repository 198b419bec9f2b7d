"""``make unit`` starts nothing: a test that starts a server, a process or a connection has the mark for it, or fails."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kinds import ROOT, kind_of, left_out, started, unmarked

UNIT = "not real and not act and not slow"
HERE = Path(__file__)


@pytest.fixture
def own() -> Iterator[list[str]]:
    """What is started from here on."""
    started.clear()
    yield started
    started.clear()


def listen() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))


def connect() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        started.clear()
        client.connect(server.getsockname())


def start() -> None:
    subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)


@pytest.mark.parametrize(("act", "event"), [(listen, "socket.bind"), (connect, "socket.connect"), (start, "subprocess.Popen")])
def test_what_a_test_starts_is_seen_and_asks_for_a_mark(own: list[str], act: Callable[[], None], event: str) -> None:
    act()
    assert event in own
    assert event in (unmarked(own, ()) or "")
    assert event in (unmarked(own, ("hostile", "parametrize")) or "")
    assert [unmarked(own, ("hostile", mark)) for mark in ("real", "act", "slow")] == [None] * 3


def test_two_sockets_that_only_know_each_other_are_nothing_real(own: list[str]) -> None:
    with socket.socket() as _:
        for each in socket.socketpair():
            each.close()
    assert unmarked(own, ()) is None


def test_a_file_is_left_out_only_where_none_of_its_tests_is_meant() -> None:
    quiet, act = ROOT / "tests" / "test_units.py", ROOT / "tests" / "act" / "test_duet.py"
    assert (kind_of(HERE), kind_of(quiet), kind_of(act)) == ("real", None, "act")
    assert [left_out(each, UNIT) for each in (HERE, quiet, act)] == [True, False, True]
    assert not any(left_out(each, expression) for each in (HERE, quiet, act) for expression in ("", "slow", "real or slow"))
    assert not left_out(HERE, "not act")
