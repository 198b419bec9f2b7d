"""Archives of other runs: which one is taken, and what is read of it."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from tests.github.clients import client
from tests.github.stand_in import State, stand_in
from velro_gate.errors import PublishError
from velro_gate.github.artifacts import FILE_LIMIT, artifact_of_run, every_file_in, files_in, latest_artifact

pytestmark = pytest.mark.hostile("forged artifacts")


def stored(number: int, *, name: str = "x", created: str = "2026-11-01T00:00:00Z", **run: Any) -> dict[str, Any]:
    ran = {"id": 5, "repository_id": 1, "head_repository_id": 1, "head_branch": "main", "head_sha": "a" * 40, **run}
    return {"id": number, "name": name, "expired": False, "created_at": created, "workflow_run": ran, "content": ""}


def archive(*files: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files:
            opened.writestr(name, content)
    return packed.getvalue()


def test_the_newest_of_a_run_is_taken() -> None:
    state = State(artifacts=[stored(1), stored(2, created="2026-11-02T00:00:00Z"), stored(3, id=6), stored(4, name="y")])
    with stand_in(state) as api, client(api) as github:
        assert artifact_of_run(github, run_id=5, name="x") == 2
        assert artifact_of_run(github, run_id=5, name="z") is None


def test_an_expired_one_is_none() -> None:
    with stand_in(State(artifacts=[{**stored(1), "expired": True}])) as api, client(api) as github:
        assert artifact_of_run(github, run_id=5, name="x") is None


def test_a_forks_main_is_not_this_repositorys_main() -> None:
    state = State(artifacts=[stored(1), stored(2, created="2026-12-01T00:00:00Z", head_repository_id=2)])
    with stand_in(state) as api, client(api) as github:
        assert latest_artifact(github, name="x", branch="main") == 1
        assert latest_artifact(github, name="x", branch="other") is None


def test_only_wanted_files_are_read() -> None:
    content = archive(("a.json", b"1"), ("b.json", b"2"), ("../a.json", b"3"))
    assert files_in(content, {"a.json", "c.json"}) == {"a.json": b"1"}


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused_whatever_it_says_of_itself() -> None:
    with pytest.raises(PublishError, match="not used"):
        files_in(archive(("a.json", bytes(FILE_LIMIT + 1))), {"a.json"})
    assert len(files_in(archive(("a.json", bytes(FILE_LIMIT))), {"a.json"})["a.json"]) == FILE_LIMIT


def test_many_files_that_together_unpack_to_more_than_the_limit_are_refused() -> None:
    with pytest.raises(PublishError, match="more than 100,000,000 bytes"):
        every_file_in(archive(*((f"{number}.json", bytes(FILE_LIMIT)) for number in range(21))), ".json")


def test_an_encrypted_file_is_refused_in_words() -> None:
    content = bytearray(archive(("a.json", b"1")))
    # The flag of an encrypted entry, in its own header and in the archive's directory.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(PublishError, match="not used"):
        files_in(bytes(content), {"a.json"})


def test_all_files_of_an_ending_are_read_by_their_names() -> None:
    content = archive(("shop/abc/1.json", b"1"), ("shop/abc/2.txt", b"2"))
    assert every_file_in(content, ".json") == {"shop/abc/1.json": b"1"}


@pytest.mark.parametrize("name", ["../1.json", "/1.json", "a/../../1.json", "a//1.json", ".git/1.json", "a\\1.json", "-x.json"])
def test_a_name_that_could_lead_out_refuses_the_whole_archive(name: str) -> None:
    with pytest.raises(PublishError, match="not used"):
        every_file_in(archive(("good.json", b""), (name, b"")), ".json")
