"""GitHub's issues of one repository, as far as an alert needs them, behind the transport of the client."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.github.clients import Standing
from velro_gate.github.api import Api

AUTHOR = "github-actions[bot]"


@dataclass
class Issues:
    """The issues, and what happened to them. lost: creations that succeed although no response arrives; refuse: a status."""

    issues: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    lost: int = 0
    refuse: int = 0

    def add(self, body: str, *, author: str = AUTHOR, state: str = "open", **more: Any) -> dict[str, Any]:
        number = len(self.issues) + 1
        made = {
            "number": number,
            "html_url": f"https://github.example/acme/shop/issues/{number}",
            "title": "t",
            "body": body,
            "user": {"login": author},
            "state": state,
            "labels": ["velro-gate"],
            **more,
        }
        self.issues.append(made)
        return made

    @property
    def open(self) -> list[dict[str, Any]]:
        return [one for one in self.issues if one["state"] == "open"]

    def client(self) -> Api:
        clock = Standing().clock
        transport = httpx.MockTransport(self.answer)
        return Api(base_url="http://api.example", repository="acme/shop", token="t", clock=clock, transport=transport)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(f"{request.method} {request.url.path.removeprefix('/repos/acme/shop')}")
        if self.refuse:
            return httpx.Response(self.refuse, json={"message": "Resource not accessible by integration"})
        given = json.loads(request.content) if request.content else {}
        match request.method:
            case "GET":
                assert dict(request.url.params)["labels"] == "velro-gate"
                return httpx.Response(200, json=self.open)
            case "POST":
                made = self.add(given["body"], title=given["title"], labels=given["labels"])
                if self.lost:
                    self.lost -= 1
                    raise httpx.ReadError("the connection was lost", request=request)
                return httpx.Response(201, json=made)
            case _:
                number = int(request.url.path.rpartition("/")[2])
                found = next(one for one in self.issues if one["number"] == number)
                found.update(given)
                return httpx.Response(200, json=found)
