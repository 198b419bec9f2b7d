"""A worker ends its shard when the head hangs up, and when it falls silent."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.cluster.runs import shard_processes
from velro_gate.cluster import worker
from velro_gate.cluster.channel import FrameKind, WorkerChannel

KEYS = {"sends": b"a" * 32, "receives": b"b" * 32}


@pytest.mark.parametrize("hangs_up", [True, False], ids=["hangs up", "falls silent"])
def test_the_shard_is_gone_when_the_head_is(hangs_up: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SILENT", 60.0 if hangs_up else 2.0)

    async def main() -> None:
        async def be_there() -> None:
            while True:
                await head.send(FrameKind.PING, b"")
                await trio.sleep(0.1)

        ours, theirs = memory_stream_pair()
        head = WorkerChannel(ours, sends=KEYS["sends"], receives=KEYS["receives"], hang_up=ours.send_stream.close)
        there = WorkerChannel(theirs, sends=KEYS["receives"], receives=KEYS["sends"], hang_up=theirs.send_stream.close)
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.serve, there)
                await head.send(FrameKind.START, json.dumps({"zero": 0.0, "foreign_code": False}).encode())
                async with trio.open_nursery() as there_for_now:
                    there_for_now.start_soon(be_there)
                    # Its first sign of life.
                    while (frame := await head.receive()) is not None and frame[0] is not FrameKind.BYTES:
                        pass
                    there_for_now.cancel_scope.cancel()
                assert len(shard_processes()) == 1
                if hangs_up:
                    head.close()
        assert shard_processes() == []

    trio.run(main)
