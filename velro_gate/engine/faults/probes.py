"""Probes: requests that this process sends in addition to the load while something is broken, to see what samples cannot show.

- Readers begin when an invalidation is acknowledged, and compare what they read with what was written.
- A writer begins before the fault, with one write that has to be acknowledged: where nothing can be written at all, nothing
  would be found out. After the fault what was acknowledged is read back until it is there or its time is up.
- What shows degraded answers is asked from the beginning of the fault to its end.

Times are those of ``time.monotonic``, which the run shares.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import trio

from velro_gate.engine.faults.requests import ActionError, ProbeResponse, client_for, order_redis, said_at, send
from velro_gate.model.resilience.probes import ProbeKind, ProbeOutcome

if TYPE_CHECKING:
    import httpx

_Order = Mapping[str, Any]
_SEVERAL = 10
"""Writes that are read back at a time."""
_Write = tuple[float, float, str | None]
"""When it was sent, when it was answered, and what it has made; None where it was not acknowledged."""


class Probe(Protocol):
    """One probe; ``begin`` comes first."""

    async def begin(self, nursery: trio.Nursery) -> None:
        """Begin, in tasks of this nursery.

        Raises:
            ActionError: what is to be seen cannot be seen.
        """

    def stop(self) -> None:
        """The fault is over."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will be seen."""

    def outcomes(self) -> dict[str, Any]:
        """What was seen, as plain values."""


class _Rows:
    """What is seen, in columns."""

    def __init__(self, kind: ProbeKind) -> None:
        self.kind = kind
        self.since = time.monotonic()
        self.until: float | None = None
        self.sent: list[float] = []
        self.done: list[float] = []
        self.reader: list[int] = []
        self.seen: list[int] = []

    def add(self, sent: float, done: float, reader: int, seen: ProbeOutcome) -> None:
        """Keep one row. Times are on the system's monotonic clock, which the run shares."""
        self.sent.append(round(sent, 6))
        self.done.append(round(done, 6))
        self.reader.append(reader)
        self.seen.append(int(seen))

    def outcomes(self) -> dict[str, Any]:
        """The columns for a reply; ``until`` is now while the probe goes on."""
        columns = {name: getattr(self, name) for name in ("sent", "done", "reader", "seen")}
        until = time.monotonic() if self.until is None else self.until
        return {"kind": self.kind.value, "since": self.since, "until": until, **columns}


def new_value() -> str:
    """A text that nobody has written before."""
    return f"probe-{secrets.token_hex(6)}"


class StaleReaders:
    """Invalidates, and reads afterwards."""

    def __init__(self, order: _Order) -> None:
        self._order = order
        self._rows = _Rows(ProbeKind.READS)
        self._scope = trio.CancelScope()
        self._before: str | None = None
        self._written = new_value()
        self._expects_value = "${value}" in "".join(_texts(order["write"]))
        self.finished = False

    async def begin(self, nursery: trio.Nursery) -> None:
        """See Probe."""
        read = self._order["read"]
        if read is not None:
            async with client_for(read["request"]) as client:
                response = await send(client, read["request"], {"reader": "0"})
            self._before = None if response is None or not response.is_success else said_at(response, read["place"])
            if self._before is None:
                raise ActionError(f"{_said(read['request'], response)}, so there is nothing to compare later reads with")
        await self._invalidate()
        self._rows.since = time.monotonic()
        if read is not None:
            nursery.start_soon(self._run, read)
        else:
            self.finished = True

    async def _invalidate(self) -> None:
        if self._order["redis"] is not None:
            await order_redis(self._order["redis"]["url"], self._order["redis"]["words"])
            return
        asked = self._order["write"]
        async with client_for(asked) as client:
            response = await send(client, asked, {"value": self._written})
        if response is None or not response.is_success:
            raise ActionError(_said(asked, response))

    async def _run(self, read: _Order) -> None:
        with self._scope:
            async with client_for(read["request"]) as client, trio.open_nursery() as nursery:
                for reader in range(read["readers"]):
                    nursery.start_soon(self._reader, client, read, reader)
        self.finished = True

    async def _reader(self, client: httpx.AsyncClient, read: _Order, reader: int) -> None:
        # Evenly spread, so that the first fresh value is seen soon whoever reads it.
        await trio.sleep(read["every"] * reader / read["readers"])
        while True:
            sent = time.monotonic()
            response = await send(client, read["request"], {"reader": str(reader), "value": self._written})
            self._rows.add(sent, time.monotonic(), reader, self._judged(response, read))
            await trio.sleep(max(sent + read["every"] - time.monotonic(), 0.0))

    def _judged(self, response: ProbeResponse | None, read: _Order) -> ProbeOutcome:
        found = None if response is None or not response.is_success else said_at(response, read["place"])
        if found is None:
            return ProbeOutcome.NONE
        if read["by_version"]:
            return ProbeOutcome.GOOD if _is_later(found, self._before or "") else ProbeOutcome.BAD
        # Where the write does not carry the value that readers look for, any other value than before is the new one.
        fresh = found == self._written if self._expects_value else found != self._before
        return ProbeOutcome.GOOD if fresh else ProbeOutcome.BAD

    def stop(self) -> None:
        """See Probe."""
        self._rows.until = time.monotonic()
        self._scope.cancel()

    def outcomes(self) -> dict[str, Any]:
        """See Probe."""
        return self._rows.outcomes()


class DegradedRequests:
    """Asks again and again and looks whether the answer is of the declared kind."""

    def __init__(self, order: _Order) -> None:
        self._order = order
        self._rows = _Rows(ProbeKind.DEGRADED)
        self._scope = trio.CancelScope()
        self.finished = False

    async def begin(self, nursery: trio.Nursery) -> None:
        """See Probe."""
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        order = self._order
        with self._scope:
            async with client_for(order["request"]) as client:
                while True:
                    sent = time.monotonic()
                    response = await send(client, order["request"], {})
                    self._rows.add(sent, time.monotonic(), 0, self._judged(response))
                    await trio.sleep(max(sent + order["every"] - time.monotonic(), 0.0))
        self.finished = True

    def _judged(self, response: ProbeResponse | None) -> ProbeOutcome:
        order = self._order
        if response is None:
            return ProbeOutcome.BAD
        declared = response.status in order["statuses"]
        if order["place"]:
            found = said_at(response, order["place"])
            declared = declared and found is not None and order["equals"] in ("", found)
        return ProbeOutcome.GOOD if declared else ProbeOutcome.BAD

    def stop(self) -> None:
        """See Probe."""
        self._rows.until = time.monotonic()
        self._scope.cancel()

    def outcomes(self) -> dict[str, Any]:
        """See Probe."""
        return self._rows.outcomes()


class ReadBackWrites:
    """Writes again and again; afterwards reads back what was acknowledged."""

    def __init__(self, order: _Order) -> None:
        self._order = order
        self._rows = _Rows(ProbeKind.WRITES)
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        self.finished = False

    async def begin(self, nursery: trio.Nursery) -> None:
        """See Probe."""
        asked = self._order["write"]
        async with client_for(asked) as client:
            response = await send(client, asked, {"value": new_value()})
        if self._acknowledged(response) is None:
            raise ActionError(f"{_said(asked, response)} before anything was broken")
        self._rows.since = time.monotonic()
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        order = self._order
        writes: list[_Write] = []
        async with client_for(order["write"]) as client:
            with self._scope:
                while True:
                    sent, made = time.monotonic(), None
                    try:
                        made = self._acknowledged(await send(client, order["write"], {"value": new_value()}))
                    finally:
                        # One that is still unanswered when the fault ends was tried, and not acknowledged.
                        writes.append((sent, time.monotonic(), made))
                    await trio.sleep(max(sent + order["every"] - time.monotonic(), 0.0))
            deadline = time.monotonic() + order["within"]
            for some in _batches(writes):
                async with trio.open_nursery() as nursery:
                    for write in some:
                        nursery.start_soon(self._read_back, client, write, deadline)
        self.finished = True

    async def _read_back(self, client: httpx.AsyncClient, write: _Write, deadline: float) -> None:
        """Until it is there, or until the deadline; a service that does not answer has not lost it yet."""
        sent, done, made = write
        if made is None:
            self._rows.add(sent, done, 0, ProbeOutcome.NONE)
            return
        while True:
            response = await send(client, self._order["read"], {"id": made})
            if response is not None and response.is_success:
                self._rows.add(sent, done, 0, ProbeOutcome.GOOD)
                return
            if time.monotonic() >= deadline:
                self._rows.add(sent, done, 0, ProbeOutcome.BAD)
                return
            await trio.sleep(self._order["every"])

    def _acknowledged(self, response: ProbeResponse | None) -> str | None:
        """What a write has made; None where it was not acknowledged."""
        if response is None or not response.is_success:
            return None
        return said_at(response, self._order["place"])

    def stop(self) -> None:
        """See Probe."""
        self._rows.until = time.monotonic()
        self._scope.cancel()

    def outcomes(self) -> dict[str, Any]:
        """See Probe."""
        return self._rows.outcomes()


def probe_of(order: _Order) -> Probe:
    """The probe that an order asks for."""
    match ProbeKind(order["kind"]):
        case ProbeKind.READS:
            return StaleReaders(order)
        case ProbeKind.DEGRADED:
            return DegradedRequests(order)
        case ProbeKind.WRITES:
            return ReadBackWrites(order)


def _batches(writes: Sequence[_Write]) -> Iterator[Sequence[_Write]]:
    for start in range(0, len(writes), _SEVERAL):
        yield writes[start : start + _SEVERAL]


def _is_later(found: str, before: str) -> bool:
    try:
        return float(found) > float(before)
    except ValueError:
        return found != before


def _texts(asked: _Order | None) -> list[str]:
    if asked is None:
        return []
    return [asked["url"], asked["body"], *(value for _, value in asked["query"]), *(value for _, value in asked["headers"])]


def _said(asked: _Order, response: ProbeResponse | None) -> str:
    """How a request was answered, in words."""
    if response is None:
        return f"{asked['method']} {asked['shown']} got no response"
    return f"{asked['method']} {asked['shown']} was answered {response.status}"
