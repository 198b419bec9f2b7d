"""The control endpoint, asked for real."""

from __future__ import annotations

import trio

from velro_gate.engine.responder.process import running_responder
from velro_gate.gate.duet.control import Control


def test_the_responder_is_asked_until_it_is_enough_and_every_answer_has_its_time() -> None:
    async def ask() -> tuple[Control, int | None]:
        async with running_responder() as responder:
            control = Control(responder.url)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(control.ask)
                while len(control.times) < 5:
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
        return control, responder.answered

    control, answered = trio.run(ask)
    assert answered is not None
    assert answered in (len(control.times), len(control.times) + 1)
    assert all(0.0 < seconds < 2.0 for seconds in control.times)
    assert control.failed == 0


def test_a_control_that_has_gone_counts_as_not_answered_and_is_asked_again() -> None:
    async def ask() -> Control:
        async with running_responder() as responder:
            url = responder.url
        control = Control(url)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(control.ask)
            while control.failed < 2:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        return control

    assert trio.run(ask).times == []
