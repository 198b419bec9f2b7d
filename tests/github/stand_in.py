"""A stateful stand-in of GitHub's REST API as a real HTTP server; checks every request and answer against GitHub's description.

``python -m tests.github.stand_in --port 0 --repository owner/name`` serves it and prints ``ready URL``. For tests only:
GET /_state, POST /_seed (merged into the state), POST /_faults (what the next fitting calls get instead of an answer).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.github import conformity
from tests.github.samples import description, sample
from tests.quiet_server import QuietServer

STEP = "2026-11-24T12:{:02d}:{:02d}Z"
MOST_COMMENT, MOST_DESCRIPTION = 65_536, 140
STORE = "/_archive/"
"""Where archives lie: another company's host, to which the API only leads."""
WRITE_OF = {"issues": "pull-requests", "pulls": "pull-requests", "statuses": "statuses", "actions": "actions"}


@dataclass
class Fault:
    """What fitting calls get, ``times`` times. fault: a status, or 'hang', 'reset', 'half', or 'lost' (done, then reset)."""

    fault: int | str
    method: str = ".*"
    path: str = ".*"
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "made by the test"


@dataclass
class State:
    """One repository as GitHub would know it. permissions: what the token may ('write', 'read' or absent)."""

    repository: str = "acme/shop"
    login: str = "github-actions[bot]"
    tokens: list[str] = field(default_factory=lambda: ["good-token"])
    permissions: dict[str, str] = field(
        default_factory=lambda: {"pull-requests": "write", "statuses": "write", "actions": "read", "contents": "write"}
    )
    pulls: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    approvals: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """(state, environment) of each review, by the run's id."""
    calls: list[dict[str, Any]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    default_branch: str = "main"
    serial: int = 0

    def next(self) -> int:
        """A number that only grows, for ids."""
        self.serial += 1
        return self.serial

    def pull(self, number: int = 7, head_sha: str = "a" * 40, **more: Any) -> dict[str, Any]:
        """Add a pull request."""
        made = {
            "number": number,
            "head_sha": head_sha,
            "head_branch": "feature",
            "head_owner": self.repository.split("/")[0],
            "base_sha": "b" * 40,
            "base_branch": self.default_branch,
            "state": "open",
            "author": "someone",
            "files": ["src/shop.py"],
            **more,
        }
        self.pulls.append(made)
        return made


@dataclass
class Answer:
    """Status, JSON body (None: none) and headers of one answer."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


class StandIn:
    """The API behind a server. before: called with (method, path) before each call, for tests that need an order of things."""

    def __init__(self, state: State | None = None, *, prefix: str = "", page_size: int | None = None) -> None:
        self.state = state or State()
        self.prefix = prefix
        self.page_size = page_size
        self.faults: list[Fault] = []
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.released = threading.Event()
        self._lock = threading.RLock()
        self._server = QuietServer(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        """The API's base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self.prefix}"

    def listen(self, port: int) -> None:
        """Use a port of one's choice instead of a free one."""
        self._server.server_close()
        self._server = QuietServer(("127.0.0.1", port), _handler(self))

    def serve(self) -> None:
        """Answer until ``stop``."""
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        """End the server and let go what hangs."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def fail(self, fault: int | str, *, method: str = ".*", path: str = ".*", times: int = 1, **headers: str) -> None:
        """Let the next fitting calls fail. Headers are given with underscores."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        self.faults.append(Fault(fault=fault, method=method, path=path, times=times, headers=named))

    def fault_for(self, method: str, path: str) -> Fault | None:
        """The first fault that fits and is not used up."""
        with self._lock:
            for one in self.faults:
                if one.times > 0 and re.fullmatch(one.method, method) and re.search(one.path, path):
                    one.times -= 1
                    return one
        return None

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Answer:
        """One call, checked on its way in and on its way out."""
        with self._lock:
            request = conformity.asked(method, path, query, headers, body)
            self._check_request(request, query, headers)
            made = self._refused(method, path, headers) or self._routed(method, path, query, body)
            wire = b"" if made.body is None else json.dumps(made.body).encode()
            said = {"content-type": "application/json; charset=utf-8"} if wire else {}
            if made.status not in (401, 422) or made.body is None or "errors" in made.body:
                fault = conformity.fault_of_answer(request, made.status, {**said, **made.headers}, wire)
                if fault and not _undescribed(made.status):
                    self.state.violations.append(f"answer to {method} {path}: {fault}")
            return made

    def _check_request(self, request: conformity.Asked, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        fault = conformity.fault_of_request(request)
        place = f"{request.method.upper()} {request.path}"
        if fault:
            self.state.violations.append(f"request {place}: {fault}")
        unknown = set(query) - _parameters(request.method, request.path)
        if unknown:
            self.state.violations.append(f"request {place}: undescribed parameters {sorted(unknown)}")
        if headers.get("x-github-api-version") != "2022-11-28" or not headers.get("user-agent"):
            self.state.violations.append(f"request {place}: no version of the API, or no user agent")

    def _refused(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.state.tokens:
            return Answer(401, {"message": "Bad credentials"})
        area = path.removeprefix(f"/repos/{self.state.repository}/").split("/")[0]
        need = WRITE_OF.get(area)
        held = self.state.permissions.get(need, "") if need else "write"
        if (method != "GET" and held != "write") or not held:
            return Answer(403, {"message": "Resource not accessible by integration"})
        return None

    def _routed(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        below = path.removeprefix(f"/repos/{self.state.repository}")
        if below == path:
            return _not_found()
        given = json.loads(body) if body else {}
        for verb, pattern, handler in _ROUTES:
            match = re.fullmatch(pattern, below)
            if verb == method and match:
                return handler(self, match, dict(query), given)
        return _not_found()

    # What the routes do

    def _repository(self, _match: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
        owner, name = self.state.repository.split("/")
        known = {
            "name": name,
            "full_name": self.state.repository,
            "owner": {"login": owner},
            "default_branch": self.state.default_branch,
        }
        return Answer(200, sample("full-repository", known))

    def _pull(self, match: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
        found = next((one for one in self.state.pulls if one["number"] == int(match[1])), None)
        return Answer(200, self._pull_json("pull-request", found)) if found else _not_found()

    def _pull_json(self, schema: str, pull: Mapping[str, Any]) -> dict[str, Any]:
        known = {
            "number": pull["number"],
            "state": pull["state"],
            "html_url": f"https://github.example/{self.state.repository}/pull/{pull['number']}",
            "user": {"login": pull["author"]},
            "head": {
                "sha": pull["head_sha"],
                "ref": pull["head_branch"],
                "user": {"login": pull["head_owner"]},
                "repo": {"full_name": f"{pull['head_owner']}/{self.state.repository.split('/')[1]}"},
            },
            "base": {"sha": pull["base_sha"], "ref": pull["base_branch"]},
        }
        return sample(schema, known)

    def _pulls(self, _match: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
        found = [
            one
            for one in self.state.pulls
            if query.get("state", "open") in ("all", one["state"])
            and query.get("base", one["base_branch"]) == one["base_branch"]
            and query.get("head", f"{one['head_owner']}:{one['head_branch']}") == f"{one['head_owner']}:{one['head_branch']}"
        ]
        return self._paged([self._pull_json("pull-request-simple", one) for one in found], query, "/pulls")

    def _propose(self, _match: re.Match[str], _query: dict[str, str], body: Any) -> Answer:
        owner = self.state.repository.split("/")[0]
        there = [one for one in self.state.pulls if one["head_branch"] == body["head"] and one["head_owner"] == owner]
        if there:
            return _unprocessable("A pull request already exists")
        number = max((one["number"] for one in self.state.pulls), default=0) + 1
        made = self.state.pull(number, "c" * 40, head_branch=body["head"], base_branch=body["base"], title=body.get("title"))
        return Answer(201, self._pull_json("pull-request", made), {"location": f"{self.url}/pulls/{number}"})

    def _comments(self, match: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
        found = [one for one in self.state.comments if one["issue"] == int(match[1])]
        return self._paged([self._comment_json(one) for one in found], query, f"/issues/{match[1]}/comments")

    def _comment_json(self, one: Mapping[str, Any]) -> dict[str, Any]:
        url = f"https://github.example/{self.state.repository}/pull/{one['issue']}#issuecomment-{one['id']}"
        known = {"id": one["id"], "body": one["body"], "html_url": url, "user": one["author"] and {"login": one["author"]}}
        return sample("issue-comment", known)

    def _comment(self, match: re.Match[str], _query: dict[str, str], body: Any) -> Answer:
        if not any(one["number"] == int(match[1]) for one in self.state.pulls):
            return _not_found()
        if len(body["body"]) > MOST_COMMENT:
            return _unprocessable("Body is too long (maximum is 65536 characters)")
        one = {"id": self.state.next(), "issue": int(match[1]), "body": body["body"], "author": self.state.login, "edits": 0}
        self.state.comments.append(one)
        made = self._comment_json(one)
        return Answer(201, made, {"location": made["url"]})

    def _edit(self, match: re.Match[str], _query: dict[str, str], body: Any) -> Answer:
        found = next((one for one in self.state.comments if one["id"] == int(match[1])), None)
        if found is None:
            return _not_found()
        if len(body["body"]) > MOST_COMMENT:
            return _unprocessable("Body is too long (maximum is 65536 characters)")
        found["body"], found["edits"] = body["body"], found["edits"] + 1
        return Answer(200, self._comment_json(found))

    def _delete(self, match: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
        before = len(self.state.comments)
        self.state.comments = [one for one in self.state.comments if one["id"] != int(match[1])]
        return Answer(204) if len(self.state.comments) < before else _not_found()

    def _status(self, match: re.Match[str], _query: dict[str, str], body: Any) -> Answer:
        if len(body.get("description") or "") > MOST_DESCRIPTION:
            return _unprocessable("description is too long (maximum is 140 characters)")
        one = {"sha": match[1], "id": self.state.next(), "context": "default", **body}
        self.state.statuses.append(one)
        made = self._status_json(one)
        return Answer(201, made, {"location": made["url"]})

    def _status_json(self, one: Mapping[str, Any]) -> dict[str, Any]:
        known = {key: one.get(key) for key in ("id", "state", "context", "description", "target_url")}
        return sample("status", {**known, "creator": {"login": self.state.login}})

    def _statuses(self, match: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
        found = [self._status_json(one) for one in reversed(self.state.statuses) if one["sha"] == match[1]]
        return self._paged(found, query, f"/commits/{match[1]}/statuses")

    def _artifacts(self, match: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
        run = int(match[1]) if match.re.groups else None
        found = [
            sample("artifact", {key: value for key, value in one.items() if key != "content"})
            for one in self.state.artifacts
            if run in (None, one["workflow_run"]["id"]) and query.get("name", one["name"]) == one["name"]
        ]
        path = "/actions/artifacts" if run is None else f"/actions/runs/{run}/artifacts"
        page = self._paged(found, query, path)
        return Answer(page.status, {"total_count": len(found), "artifacts": page.body}, page.headers)

    def _files(self, match: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
        pull = next((one for one in self.state.pulls if one["number"] == int(match[1])), None)
        if pull is None:
            return _not_found()
        found = [sample("diff-entry", {"filename": name, "status": "modified"}) for name in pull["files"]]
        return self._paged(found, query, f"/pulls/{match[1]}/files")

    def _approvals(self, match: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
        found = [
            sample(
                "environment-approvals",
                {"state": state, "comment": "", "environments": [{"name": name}], "user": {"login": "maintainer"}},
            )
            for state, name in self.state.approvals.get(match[1], ())
        ]
        return Answer(200, found)

    def _archive(self, match: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
        if not any(one["id"] == int(match[1]) for one in self.state.artifacts):
            return _not_found()
        return Answer(302, None, {"location": f"{self.url}{STORE}{match[1]}"})

    def stored(self, number: int, headers: Mapping[str, str]) -> Answer:
        """What the store of archives says; it is another company's, and must not see the token."""
        if "authorization" in headers:
            self.state.violations.append("the store of archives saw the token")
        content = next(one["content"] for one in self.state.artifacts if one["id"] == number)
        return Answer(200, None, {"content-type": "application/zip"}, base64.b64decode(content))

    def _paged(self, items: list[Any], query: Mapping[str, str], path: str) -> Answer:
        size, page = self.page_size or int(query.get("per_page", "30")), int(query.get("page", "1"))
        headers = {}
        if page * size < len(items):
            following = urlencode({**query, "page": str(page + 1)})
            last = urlencode({**query, "page": str(-(-len(items) // size))})
            base = f"{self.url}/repos/{self.state.repository}{path}"
            headers["link"] = f'<{base}?{following}>; rel="next", <{base}?{last}>; rel="last"'
        return Answer(200, items[(page - 1) * size : page * size], headers)


_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", r"", StandIn._repository),
    ("GET", r"/pulls", StandIn._pulls),
    ("POST", r"/pulls", StandIn._propose),
    ("GET", r"/pulls/(\d+)", StandIn._pull),
    ("GET", r"/pulls/(\d+)/files", StandIn._files),
    ("GET", r"/actions/runs/(\d+)/approvals", StandIn._approvals),
    ("GET", r"/issues/(\d+)/comments", StandIn._comments),
    ("POST", r"/issues/(\d+)/comments", StandIn._comment),
    ("PATCH", r"/issues/comments/(\d+)", StandIn._edit),
    ("DELETE", r"/issues/comments/(\d+)", StandIn._delete),
    ("POST", r"/statuses/([0-9a-f]{40})", StandIn._status),
    ("GET", r"/commits/([0-9a-f]{40})/statuses", StandIn._statuses),
    ("GET", r"/actions/artifacts", StandIn._artifacts),
    ("GET", r"/actions/runs/(\d+)/artifacts", StandIn._artifacts),
    ("GET", r"/actions/artifacts/(\d+)/zip", StandIn._archive),
)


def _undescribed(status: int) -> bool:
    """Answers that any call may get and that no call's description repeats."""
    return status in (401, 403, 404, 422)


def _not_found() -> Answer:
    return Answer(404, {"message": "Not Found", "documentation_url": "https://docs.github.example"})


def _unprocessable(message: str) -> Answer:
    body = {
        "message": "Validation Failed",
        "documentation_url": "https://docs.github.example",
        "errors": [{"code": "custom", "message": message, "resource": "x", "field": "x"}],
    }
    return Answer(422, body)


def _parameters(method: str, path: str) -> set[str]:
    """The query parameters that are described for a call."""
    parameters = description()["components"]["parameters"]
    for pattern, methods in description()["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", pattern), path) and method in methods:
            wanted = [
                parameters[one["$ref"].rsplit("/", 1)[1]] if "$ref" in one else one
                for one in methods[method].get("parameters", ())
            ]
            return {one["name"] for one in wanted if one["in"] == "query"}
    return set()


def _handler(api: StandIn) -> type[BaseHTTPRequestHandler]:  # noqa: C901 (a class, not a path)
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            path = parts.path.removeprefix(api.prefix)
            headers = {name.lower(): value for name, value in self.headers.items()}
            if path.startswith("/_") and not path.startswith(STORE):
                self._send(_control(api, self.command, path, body))
                return
            api.before(self.command, path)
            fault = api.fault_for(self.command, path)
            api.state.calls.append({"method": self.command, "path": path, "fault": fault.fault if fault else None})
            if fault is not None and fault.fault != "half":
                if fault.fault == "lost":
                    api.answer(self.command, path, dict(parse_qsl(parts.query)), headers, body)
                self._fail(fault)
                return
            if path.startswith(STORE):
                made = api.stored(int(path.removeprefix(STORE)), headers)
            else:
                made = api.answer(self.command, path, dict(parse_qsl(parts.query)), headers, body)
            self._send(made, half=fault is not None)

        def _send(self, made: Answer, *, half: bool = False) -> None:
            wire = made.raw if made.raw is not None else b"" if made.body is None else json.dumps(made.body).encode()
            self.send_response(made.status)
            for name, value in {"content-type": "application/json; charset=utf-8", **made.headers}.items():
                self.send_header(name, value)
            if made.status != 204:
                self.send_header("content-length", str(len(wire)))
            self.end_headers()
            self.wfile.write(wire[: len(wire) // 2] if half else wire)
            if half:
                self.close_connection = True

        def _fail(self, fault: Fault) -> None:
            match fault.fault:
                case int():
                    self._send(Answer(fault.fault, {"message": fault.message}, dict(fault.headers)))
                case "hang":
                    api.released.wait()
                    self.close_connection = True
                case _:
                    # A reset, not an orderly end.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().finish()

        def log_message(self, *_: object) -> None:
            """Nothing: the calls are in the state."""

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815 (the standard library's names)

    return Handler


def _control(api: StandIn, method: str, path: str, body: bytes) -> Answer:
    if method == "POST" and path == "/_faults":
        api.faults += [Fault(**one) for one in json.loads(body)]
    elif method == "POST" and path == "/_seed":
        for name, value in json.loads(body).items():
            setattr(api.state, name, value)
    return Answer(200, asdict(api.state))


@contextlib.contextmanager
def stand_in(state: State | None = None, *, prefix: str = "", page_size: int | None = None) -> Iterator[StandIn]:
    """The API on a free port, for as long as the ``with`` block lasts; any violation of the description fails the test."""
    with served(StandIn(state, prefix=prefix, page_size=page_size)) as api:
        yield api


@contextlib.contextmanager
def served(api: StandIn) -> Iterator[StandIn]:
    """The same of an API that answers more, or otherwise."""
    thread = threading.Thread(target=api.serve, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.stop()
        thread.join(timeout=10)
    assert api.state.violations == []


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--repository", default=State.repository)
    parser.add_argument("--prefix", default="", help="as of an Enterprise Server: /api/v3")
    parser.add_argument("--token", action="append", help="a token that is accepted; may be repeated")
    chosen = parser.parse_args()
    state = State(repository=chosen.repository)
    state.tokens = chosen.token or state.tokens
    api = StandIn(state, prefix=chosen.prefix)
    if chosen.port:
        api.listen(chosen.port)
    print(f"ready {api.url}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        api.serve()


if __name__ == "__main__":
    main()
