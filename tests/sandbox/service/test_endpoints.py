"""The endpoints over real HTTP."""

from __future__ import annotations

import httpx
import pytest

from tests.sandbox.conftest import SECRET, USERS
from velro_gate.sandbox.process import RunningSandbox
from velro_gate.sandbox.service.tokens import issue_token

API = "/api/v1"
CHECK = f"{API}/authorization/check"


def check(client: httpx.Client, identifier: str, user: str = "user-7") -> httpx.Response:
    return client.get(CHECK, params={"resource": "generation", "id": identifier}, headers={"X-User-Id": user})


def create(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.post(f"{API}/generations", json={"model": "model-2", "prompt": "a fox"}, headers=headers)


def cache(answer: httpx.Response) -> tuple[str, str]:
    return answer.headers["X-Cache"], answer.headers["X-Cache-Layer"]


def test_me_shows_user_and_role(client: httpx.Client) -> None:
    assert client.get(f"{API}/auth/me").json() == {"user_id": "user-7", "role": "service"}


def test_a_service_key_without_a_user_speaks_for_itself(sandbox: RunningSandbox) -> None:
    answer = httpx.get(f"{sandbox.url}{API}/auth/me", headers={"Authorization": f"bearer {sandbox.key}"}, trust_env=False)
    assert answer.json() == {"user_id": "service", "role": "service"}


def test_the_owner_and_everybody_else_may_use_what_is_shared(client: httpx.Client) -> None:
    mine, theirs = check(client, "gen-7"), check(client, "resource-8")
    assert mine.json() == {"allowed": True, "resource": "generation", "id": "gen-7", "role": "owner"}
    assert theirs.json() == {"allowed": True, "resource": "generation", "id": "gen-8", "role": "member"}


def test_only_the_owner_may_use_a_new_generation(client: httpx.Client) -> None:
    made = create(client).json()["id"]
    assert check(client, made).json()["role"] == "owner"
    answer = check(client, made, user="user-8")
    assert (answer.status_code, answer.json()["allowed"], answer.json()["role"]) == (200, False, None)


@pytest.mark.parametrize(
    "path",
    ["/authorization/check?resource=generation&id=gen-3", "/generations?limit=20", "/models/model-3", "/media/media-3/url"],
)
def test_caches_are_warm_from_the_start_and_each_answer_names_its_layer(client: httpx.Client, path: str) -> None:
    first, second = (client.get(API + path, headers={"X-User-Id": "user-11"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    # The process's own layer begins empty; another test may have asked it for what all users share.
    assert cache(first) in {("HIT", "redis"), ("HIT", "memory")}
    assert cache(second) == ("HIT", "memory")


@pytest.mark.parametrize(
    "path",
    ["/authorization/check?resource=generation&id=gen-3", "/generations?limit=20", "/models/model-3", "/media/media-3/url"],
)
def test_every_layer_gives_the_same_answer(client: httpx.Client, sandbox: RunningSandbox, path: str) -> None:
    client.get(API + path, headers={"X-User-Id": "user-12"})
    answers = [client.get(API + path, headers={"X-User-Id": "user-12"})]
    sandbox.control({"flush": ["memory"]})
    answers.append(client.get(API + path, headers={"X-User-Id": "user-12"}))
    sandbox.control({"flush": ["memory", "redis"]})
    answers.append(client.get(API + path, headers={"X-User-Id": "user-12"}))
    assert [cache(answer) for answer in answers] == [("HIT", "memory"), ("HIT", "redis"), ("MISS", "database")]
    assert len({answer.content for answer in answers}) == 1


def test_users_named_by_uuid_are_people_of_the_catalogue_and_may_use_what_is_shared(client: httpx.Client) -> None:
    user = "6c1f3f0e-5d3a-5f0b-9a4e-0123456789ab"
    assert client.get(f"{API}/auth/me", headers={"X-User-Id": user}).json()["user_id"] == user
    assert client.get(f"{API}/generations", headers={"X-User-Id": user}).json()["total"] >= 2
    assert check(client, "resource-1", user=user).json()["allowed"] is True


def test_a_new_generation_leads_its_owners_list_and_the_list_is_still_cached(client: httpx.Client) -> None:
    user = {"X-User-Id": "user-20"}
    before = client.get(f"{API}/generations", headers=user).json()
    answer = create(client, **user)
    assert answer.status_code == 201
    assert answer.json()["status"] == "queued"
    after = client.get(f"{API}/generations", headers=user)
    assert cache(after) == ("HIT", "memory")
    assert after.json()["total"] == before["total"] + 1
    first, *rest = after.json()["items"]
    assert (first["id"], first["prompt"], rest) == (answer.json()["id"], "a fox", before["items"])


def test_a_list_of_another_length_comes_from_the_database(client: httpx.Client) -> None:
    answer = client.get(f"{API}/generations", params={"limit": 1})
    assert len(answer.json()["items"]) == 1
    assert cache(answer) == ("MISS", "database")


def test_a_user_whom_nobody_knows_has_an_empty_list(client: httpx.Client) -> None:
    answer = client.get(f"{API}/generations", headers={"X-User-Id": "b5c1a1de-nobody"})
    assert answer.json() == {"items": [], "total": 0}


def test_a_model_has_id_and_name_and_a_medium_has_url_and_lifetime(client: httpx.Client) -> None:
    assert client.get(f"{API}/models/model-24").json() == {"id": "model-24", "name": "Velro Audio 8", "version": 1}
    assert client.get(f"{API}/media/media-5/url").json() == {"url": "https://media.velro.invalid/5.webp", "expires_in": 3600}


@pytest.mark.parametrize(
    "path",
    [
        f"/authorization/check?resource=generation&id=gen-{100 * USERS}",
        "/authorization/check?resource=generation&id=nonsense",
        "/authorization/check?resource=generation",
        "/models/model-0",
        "/models/model-25",
        "/models/%2e%2e%2fsecret",
        f"/media/media-{100 * USERS}/url",
        "/media//url",
        "/nothing/here",
    ],
)
def test_unknown_ids_and_paths_are_404_with_a_reason(client: httpx.Client, path: str) -> None:
    answer = client.get(API + path)
    assert answer.status_code == 404
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"{}",
        b'{"model": "model-1"}',
        b'{"model": "model-1", "prompt": ""}',
        b'{"model": "model-1", "prompt": 7}',
        b'{"model": "model-99", "prompt": "x"}',
        b'{"model": 3, "prompt": "x"}',
        b'{"prompt": "x"}',
        b'{"model": "model-1", "prompt": "' + b"x" * 5_000 + b'"}',
    ],
)
def test_a_generation_that_cannot_be_made_is_422_with_a_reason(client: httpx.Client, body: bytes) -> None:
    answer = client.post(f"{API}/generations", content=body)
    assert answer.status_code == 422
    assert answer.json()["error"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "limit=99999999999999"])
def test_a_limit_out_of_bounds_is_422(client: httpx.Client, query: str) -> None:
    assert client.get(f"{API}/generations?{query}").status_code == 422


def test_an_authorization_of_another_kind_of_resource_is_422(client: httpx.Client) -> None:
    assert client.get(CHECK, params={"resource": "planet", "id": "3"}).status_code == 422


@pytest.mark.parametrize("header", ["", "Bearer", "Basic dXNlcjpwYXNz", "Bearer not.a.token", "Bearer é"])
def test_no_token_or_no_good_one_is_401_and_says_what_is_needed(sandbox: RunningSandbox, header: str) -> None:
    headers = {"Authorization": header.encode()} if header else {}
    answer = httpx.get(f"{sandbox.url}{API}/auth/me", headers=headers, trust_env=False)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_expired_token_is_401_and_so_is_one_signed_by_another_secret(sandbox: RunningSandbox) -> None:
    for token in (issue_token(SECRET, "user-1", "user", seconds=-5), issue_token("x" * 40, "user-1", "user")):
        answer = httpx.get(f"{sandbox.url}{API}/auth/me", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.status_code == 401


def log_in(client: httpx.Client, **body: str) -> dict[str, str]:
    answer = client.post(f"{API}/auth/login", json=body)
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_who_logs_in_gets_a_token_of_their_own(sandbox: RunningSandbox) -> None:
    with httpx.Client(base_url=sandbox.url, trust_env=False) as client:
        token = log_in(client, user="user-9")
        assert client.get(f"{API}/auth/me", headers=token).json() == {"user_id": "user-9", "role": "user"}
        assert create(client, **token).status_code == 201


def test_a_user_may_not_act_for_another(sandbox: RunningSandbox) -> None:
    with httpx.Client(base_url=sandbox.url, trust_env=False) as client:
        token = log_in(client, user="user-9")
        assert client.get(f"{API}/auth/me", headers={**token, "X-User-Id": "user-9"}).status_code == 200
        assert client.get(f"{API}/auth/me", headers={**token, "X-User-Id": "user-1"}).status_code == 403


def test_a_viewer_may_read_and_not_create(sandbox: RunningSandbox) -> None:
    with httpx.Client(base_url=sandbox.url, trust_env=False) as client:
        token = log_in(client, user="user-9", role="viewer")
        assert client.get(f"{API}/generations", headers=token).status_code == 200
        assert create(client, **token).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 422), ({"user": ""}, 422), ({"user": 7}, 422), ({"user": "x" * 200}, 422), ({"user": "a", "role": "service"}, 403)],
)
def test_a_login_that_cannot_be_is_refused(client: httpx.Client, body: dict[str, object], status: int) -> None:
    assert client.post(f"{API}/auth/login", json=body).status_code == status
