"""/health, /metrics and /control: what is about the sandbox itself and not part of the backend that it stands in for."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from velro_gate.sandbox.problem import AwayError, RefusalError
from velro_gate.sandbox.service import answers
from velro_gate.sandbox.service.experiments import Experiments
from velro_gate.sandbox.service.metrics import CONTENT_TYPE, ServiceMetrics
from velro_gate.sandbox.service.web import Reply, refused
from velro_gate.sandbox.stores.database import Database
from velro_gate.sandbox.stores.dependency import Dependency
from velro_gate.sandbox.stores.shared import Shared
from velro_gate.sandbox.tally import DATABASE, REDIS, Tally


class Operations:
    """Answers for the four paths. control: whether /control exists."""

    def __init__(
        self,
        *,
        dependencies: Mapping[str, Dependency],
        shared: Shared,
        database: Database,
        metrics: ServiceMetrics,
        experiments: Experiments,
        tally: Tally,
        control: bool,
    ) -> None:
        self._dependencies = dependencies
        self._shared = shared
        self._database = database
        self._metrics = metrics
        self._experiments = experiments
        self._tally = tally
        self._control = control

    async def __call__(self, method: str, path: str, body: bytes, peer: str) -> Reply | None:
        """The reply, or None when there is nothing here. peer: the client's address."""
        try:
            if path == "/health":
                return await self._health() if method == "GET" else None
            if path == "/metrics":
                return Reply(200, self._metrics.text(), ((b"content-type", CONTENT_TYPE),)) if method == "GET" else None
            if not self._control:
                return None
            return await self._controlled(method, path, body, peer)
        except RefusalError as refusal:
            return refused(refusal)
        except AwayError as away:
            return refused(RefusalError(503, str(away)))

    async def _controlled(self, method: str, path: str, body: bytes, peer: str) -> Reply | None:
        if not is_own_address(peer):
            raise RefusalError(403, "the control endpoint answers this machine only")
        if path == "/control/counts":
            return Reply(200, answers.encode(self._tally.counts())) if method == "GET" else None
        if method == "GET":
            return Reply(200, answers.encode(self._experiments.state()))
        return Reply(200, answers.encode(await self._experiments.carry_out(body))) if method == "POST" else None

    async def _health(self) -> Reply:
        """200 as long as every request can be answered: Redis has the database to fall back on, the database has nothing."""
        redis = await _fault(self._dependencies[REDIS], self._shared)
        database = await _fault(self._dependencies[DATABASE], self._database)
        status = "unavailable" if database else "degraded" if redis else "ok"
        reasons = [fault for fault in (database, redis) if fault]
        found = {REDIS: "away" if redis else "ok", DATABASE: "away" if database else "ok"}
        body = answers.encode({"status": status, "reasons": reasons, "dependencies": found})
        return Reply(503 if database else 200, body)


async def _fault(dependency: Dependency, client: Shared | Database) -> str | None:
    try:
        await dependency.ask(client.ping)
    except AwayError as away:
        return str(away)
    return None


def is_own_address(peer: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
