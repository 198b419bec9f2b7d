"""The process that carries out faults, until its standard input ends or SIGTERM comes. Then everything is undone.

It is a process of its own for two reasons: it costs the generator's loop nothing, and it is still there to undo every fault
when the run is killed. Its standard input is the leash: whoever started it has ended when that ends.

It says an empty message when it is ready. Each order is a line on standard input and gets a line on standard output with the
same ``id``.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import trio

from velro_gate.engine.faults import actions
from velro_gate.engine.faults.carrying import Forwarders
from velro_gate.engine.faults.messages import LinesFrom, message_line, unpacked_fault
from velro_gate.engine.faults.probes import Probe, probe_of
from velro_gate.engine.faults.proxy import FaultProxy
from velro_gate.engine.faults.requests import ActionError
from velro_gate.hardening import close_to_others
from velro_gate.leftovers import adopt_orphans
from velro_gate.model.resilience.network import WireProtocol

_Order = dict[str, Any]
_Reply = dict[str, Any]


class OrderHandler:
    """Carries out orders. nursery: in which the proxies live."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._proxies: dict[str, FaultProxy] = {}
        self._carriers: Forwarders | None = None
        self._to_undo: dict[str, actions.Undo] = {}
        self._probes: dict[str, list[Probe]] = {}
        self._known: dict[str, Callable[[_Order], Awaitable[_Reply]]] = {
            "open": self._open,
            "network": self._network,
            "counts": self._counts,
            "begin": self._begin,
            "undo": self._undo,
            "prepare": self._prepare,
            "watch": self._watch,
            "probed": self._probed,
        }

    async def carry_out(self, order: _Order) -> _Reply:
        """Do what one order says; what the reply holds. An order that cannot be carried out has its reason under ``failed``."""
        try:
            return await self._known[order["do"]](order)
        except ActionError as error:
            return {"failed": str(error)}
        except OSError as error:
            return {"failed": error.strerror or str(error)}
        except ValueError as error:
            # An invalid host name, or an address of another kind: no reason to end, and with it everything else.
            return {"failed": str(error)}

    async def undo_all(self) -> None:
        """Undo what has not been undone yet, the last one first."""
        for key in reversed(list(self._to_undo)):
            with contextlib.suppress(ActionError, OSError, ValueError):
                await self._to_undo.pop(key)()

    async def _open(self, order: _Order) -> _Reply:
        """A proxy to a dependency: its port."""
        protocol = WireProtocol(order["protocol"])
        if self._carriers is None and hasattr(select, "epoll"):
            self._carriers = Forwarders()
        proxy = FaultProxy(order["host"], order["port"], protocol=protocol, seed=order["seed"], carriers=self._carriers)
        port = proxy.listen(order["listen_host"], order["listen_port"])
        self._proxies[order["name"]] = proxy
        self._nursery.start_soon(proxy.serve)
        return {"port": port}

    async def _network(self, order: _Order) -> _Reply:
        """Another fault of a proxy, or none."""
        self._proxies[order["name"]].set(unpacked_fault(order["fault"]))
        return {}

    async def _counts(self, _: _Order) -> _Reply:
        """What has passed through every proxy."""
        return {"counts": {name: asdict(proxy.counts) for name, proxy in self._proxies.items()}}

    async def _begin(self, order: _Order) -> _Reply:
        """An action under a key. One that fails half way is undone at once."""
        key, action = order["key"], order["action"]

        def arm(undo: actions.Undo) -> None:
            """Remember how to undo the action, before anything of it is done."""
            self._to_undo[key] = undo

        try:
            if action["kind"] == "network":
                proxy = self._proxies[action["name"]]

                async def pass_on() -> None:
                    """Undoes the fault of the proxy."""
                    proxy.set(None)

                arm(pass_on)
                proxy.set(unpacked_fault(action["fault"]))
            elif action["kind"] == "invalidate":
                await self._begin_probe(key, action["probe"])
            else:
                await actions.begin(action, arm)
        except (ActionError, OSError, ValueError):
            with contextlib.suppress(ActionError, OSError, ValueError):
                await self._undo(order)
            raise
        return {}

    async def _undo(self, order: _Order) -> _Reply:
        """Undo the action of a key, if there is anything to undo."""
        undo = self._to_undo.pop(order["key"], None)
        try:
            if undo is not None:
                await undo()
        finally:
            for probe in self._probes.get(order["key"], []):
                probe.stop()
        return {}

    async def _prepare(self, _: _Order) -> _Reply:
        """Load what sends requests: that takes a while, in which no proxy passes anything on."""
        import httpx  # noqa: F401

        return {}

    async def _watch(self, order: _Order) -> _Reply:
        """Begin the probes of a key."""
        try:
            for asked in order["probes"]:
                await self._begin_probe(order["key"], asked)
        except ActionError:
            for probe in self._probes.pop(order["key"], []):
                probe.stop()
            raise
        return {}

    async def _begin_probe(self, key: str, asked: _Order) -> None:
        probe = probe_of(asked)
        await probe.begin(self._nursery)
        self._probes.setdefault(key, []).append(probe)

    async def _probed(self, order: _Order) -> _Reply:
        """What the probes of a key have seen; None while they have not finished, unless it is wanted ``now``."""
        probes = self._probes.get(order["key"], [])
        if not order["now"] and not all(probe.finished for probe in probes):
            return {"probed": None}
        self._probes.pop(order["key"], None)
        return {"probed": [probe.outcomes() for probe in probes]}


async def serve(leash: trio.abc.ReceiveStream, reply: trio.abc.SendStream) -> None:
    """Carry out orders until the leash ends or this is cancelled; then undo."""
    orders = LinesFrom(leash)
    async with trio.open_nursery() as nursery:
        handler = OrderHandler(nursery)
        try:
            # Where nobody reads the replies any more, whoever started this has ended.
            with contextlib.suppress(trio.BrokenResourceError):
                await reply.send_all(message_line({}))
                while (order := await orders.next()) is not None:
                    # An action that is under way is finished, so that it can be undone.
                    with trio.CancelScope(shield=True):
                        said = await handler.carry_out(order)
                    await reply.send_all(message_line({"id": order["id"], **said}))
        finally:
            with trio.CancelScope(shield=True):
                await handler.undo_all()
        nursery.cancel_scope.cancel()


async def _until_stopped() -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            leash, reply = trio.lowlevel.FdStream(os.dup(0)), trio.lowlevel.FdStream(os.dup(1))

            async def work() -> None:
                """Serve until the leash ends; then nothing else of this process may go on."""
                await serve(leash, reply)
                nursery.cancel_scope.cancel()

            nursery.start_soon(work)
            async for _ in signals:
                nursery.cancel_scope.cancel()


def main() -> None:
    """Carry out orders from standard input until it ends."""
    close_to_others()
    # What a command has started again is found below this process, and not among the run's own.
    adopt_orphans()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    trio.run(_until_stopped)


if __name__ == "__main__":
    main()
