"""One job on main with every outlet that its inputs name: Pushgateway, webhook, issue, templates. Only GitHub is a stand-in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from tests.cli.action.test_action import action
from tests.gate.jobs import HEAD, world
from tests.github.issues import Issues
from tests.github.stand_in import Answer, StandIn, State, served
from tests.servers import pushgateway
from tests.service import service
from velro_gate.gate.action.alerting.webhook import SIGNATURE, TIMESTAMP

PUSH = {"after": HEAD, "repository": {"default_branch": "main"}}
FILES = "/repos/acme/shop/contents/perf/templates"
OWN = {
    "executive.md.j2": '{% extends "velro/executive.md.j2" %}{% block next %}Ask the performance team.{% endblock %}',
    "verdict.md.j2": "{{ oops }}",
}


class WithIssuesAndFiles(StandIn):
    """The API with issues, and files of the default branch."""

    def __init__(self, state: State, issues: Issues) -> None:
        super().__init__(state)
        self.issues = issues

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Answer:
        """One call; those for issues and files are checked by the tests of their clients."""
        if path == FILES:
            return Answer(200, [{"type": "file", "name": name} for name in OWN])
        if path.startswith(f"{FILES}/"):
            content = OWN[path.rpartition("/")[2]].encode()
            return Answer(200, {"encoding": "base64", "content": base64.b64encode(content).decode()})
        if path.startswith("/repos/acme/shop/issues") and "/comments" not in path:
            asked = httpx.Request(method, f"http://api.example{path}", params=dict(query), content=body)
            answered = self.issues.answer(asked)
            return Answer(answered.status_code, answered.json())
        return super().answer(method, path, query, headers, body)


@contextmanager
def webhook(got: list[tuple[dict[str, str], bytes]]) -> Iterator[str]:
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(({name.lower(): value for name, value in self.headers.items()}, content))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.real
def test_a_failing_push_to_main_reaches_every_outlet_that_its_inputs_name(tmp_path: Path) -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    issues = Issues()
    with (
        world(tmp_path) as here,
        service(takes=0.3) as shop,
        pushgateway() as gateway,
        webhook(got) as hook,
        served(WithIssuesAndFiles(here.api.state, issues)) as api,
    ):
        ended = action(
            here,
            "push",
            PUSH,
            shop.url,
            requirements='{p95: "< 100 ms"}',
            GITHUB_API_URL=api.url,
            VELRO_ALERTS="true",
            VELRO_WEBHOOK_URL=f"{hook}/s3cret-path",
            VELRO_WEBHOOK_KEY="a-key-of-ours",
            VELRO_PUSH_URL=gateway.url,
            VELRO_TEMPLATE_DIR="perf/templates",
        )
        kept = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
        summary = here.summary
    assert ended.code == 1, ended.err
    samples = [one for family in parsed(kept) for one in family.samples if one.name == "velro_gate_verdict"]
    verdicts = {one.labels["velro_gate_verdict"]: one.value for one in samples}
    assert verdicts["fail"] == 1.0
    ((headers, content),) = got
    signed = hmac.new(b"a-key-of-ours", f"{headers[TIMESTAMP.lower()]}.".encode() + content, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE.lower()] == f"sha256={signed}"
    assert json.loads(content)["state"] == "alert"
    assert [(issue["title"], issue["state"]) for issue in issues.issues] == [("Performance of main: tiny/pr", "open")]
    assert "Ask the performance team." in summary
    assert "warning: a template cannot be used" in ended.err, "one of them is wrong: the shipped one is used"
    for text in (ended.out, ended.err, summary, issues.issues[0]["body"]):
        assert "s3cret-path" not in text
        assert "a-key-of-ours" not in text
