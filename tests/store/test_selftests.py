"""Where the newest selftest of a runner is kept, and when it is believed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.banks import bank
from velro_gate.analysis.verdict.selftest import selftest_of
from velro_gate.errors import RecordError
from velro_gate.model.selftest import Selftest
from velro_gate.store.selftests import known_selftest, place_of, selftest_folder, write_selftest

pytestmark = pytest.mark.hostile("damaged records")


def made() -> Selftest:
    return selftest_of(bank(8), measured_at="2026-11-24T10:00:00Z", overhead=3.0)


def test_a_selftest_is_found_again_in_its_environment_and_in_no_other(tmp_path: Path) -> None:
    one = made()
    write_selftest(place_of(tmp_path, one.environment), one)
    assert known_selftest(tmp_path, one.environment) == one
    other = replace(one.environment, kernel="another")
    assert known_selftest(tmp_path, other) is None
    # Not even when somebody puts it there.
    shutil.copy(place_of(tmp_path, one.environment), place_of(tmp_path, other))
    assert known_selftest(tmp_path, other) is None


def test_a_newer_selftest_takes_the_place_of_the_older(tmp_path: Path) -> None:
    one = made()
    newer = replace(one, measured_at="2026-12-01T10:00:00Z")
    for each in (one, newer):
        write_selftest(place_of(tmp_path, one.environment), each)
    assert known_selftest(tmp_path, one.environment) == newer
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"schema": 1}', b'{"schema": 99}'])
def test_a_damaged_selftest_is_an_error_with_its_place(tmp_path: Path, content: bytes) -> None:
    path = place_of(tmp_path, made().environment)
    path.write_bytes(content)
    with pytest.raises(RecordError) as raised:
        known_selftest(tmp_path, made().environment)
    assert raised.value.where == str(path)
    assert "velro-gate selftest" in raised.value.hint


def test_it_lies_in_the_users_cache() -> None:
    home, usual = {"HOME": "/user"}, Path("/user/.cache/velro-gate/selftests")
    assert selftest_folder({"XDG_CACHE_HOME": "/cache", **home}) == Path("/cache/velro-gate/selftests")
    assert selftest_folder(home) == usual
    assert selftest_folder({"XDG_CACHE_HOME": "not/absolute", **home}) == usual


def test_a_user_without_a_home_has_no_place_for_selftests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987_654)
    assert selftest_folder({}) is None
