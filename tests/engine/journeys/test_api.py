"""Journeys written in Python, over whole phases: every request is in the books, whatever the journey's code does."""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import trio

from tests.engine.peers import OK, Handler, Line, Peer, obedient, serving
from tests.engine.runs import Ran, phase
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.engine.journeys.api import find_function
from velro_gate.engine.run import Load, run_load
from velro_gate.engine.shards.run import run_sharded
from velro_gate.errors import JourneyError
from velro_gate.journeys import User
from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue
from velro_gate.model.run import LoadResult
from velro_gate.model.samples import FIRST_CACHE_LAYER, Outcome, Samples
from velro_gate.model.scenario import (
    Auth,
    BearerAuth,
    ClosedArrivals,
    Feeder,
    Journey,
    NoAuth,
    OpenArrivals,
    Phase,
    Scenario,
    Step,
    Target,
)
from velro_gate.pacing import open_schedule

ROOT = Path(__file__).resolve().parents[3]
GOOD = frozenset(range(200, 400))
LIST = Step(name="list", method="GET", path="/", probability=1.0, timeout=2.0, expect_status=GOOD)
OPEN = Step(name="open", method="GET", path="/", probability=1.0, timeout=2.0, expect_status=GOOD)
RATE = OpenArrivals(rate=60.0, journeys=True)

Code = Callable[[User], Awaitable[None]]
_code: list[Code] = []


async def current(user: User) -> None:
    """The journey that a scenario of these tests names: it makes the one of the running test."""
    await _code[-1](user)


async def travelling(
    url: str,
    code: Code,
    *phases: Phase,
    steps: tuple[Step, ...] = (LIST, OPEN),
    auth: Auth | None = None,
    feeders: tuple[Feeder, ...] = (),
    cookies: bool = True,
    stop: trio.Event | None = None,
    secrets: dict[str, str] | None = None,
    http2: bool = False,
    verify: bool = True,
    metrics: tuple[OwnMetric, ...] = (),
    **to: Any,
) -> Ran:
    """Run journeys and check what must hold of every run. to: the rest of the target."""
    _code.append(code)
    planned = phases or (phase(users=4, arrivals=RATE),)
    journey = Journey(function=f"{__name__}:current", folders=(str(Path(__file__).parent),))
    scenario = Scenario(
        name="s",
        description="",
        digest="d",
        target=Target(url=url, http2=http2, verify=verify, **to),
        auth=auth or NoAuth(),
        steps=steps,
        feeders=feeders,
        cookies=cookies,
        journey=journey,
        metrics=metrics,
    )
    ran = Ran(LoadResult(phases=(), layers=()))
    with trio.fail_after(30):
        ran.result = await run_load(
            Load(scenario=scenario, phases=planned, secrets=secrets or {}),
            origin=trio.current_time(),
            sink=lambda name, samples: ran.parts.append((name, samples)),
            stop=stop,
        )
    for each, carried in zip(planned, ran.result.phases, strict=False):
        # Raises when the books of the measured stretch do not balance.
        summarise(each, tuple(step.name for step in steps), carried, ran.samples(carried.name), [], ran.result.layers)
        assert len(ran.samples(carried.name)) == sum(part.outcome.size for name, part in ran.parts if name == carried.name)
    return ran


def with_peer(main: Callable[[Peer], Awaitable[None]], handler: Handler = obedient) -> None:
    async def whole() -> None:
        async with serving(handler) as peer:
            await main(peer)

    trio.run(whole)


async def browse(user: User) -> None:
    with user.step("list"):
        await user.client.get("/items")
    with user.step("open"):
        await user.client.get(f"/items/{user.index}")


def requested(peer: Peer) -> list[str]:
    return [request.split(b" ")[1].decode() for request in peer.requests]


def paths(peer: Peer) -> Counter[str]:
    return Counter(requested(peer))


def answering(**answers: bytes | Callable[[bytes], bytes]) -> Handler:
    """Answers by the first part of the path, anything else with 200."""

    async def handler(line: Line) -> None:
        while (request := await line.request()) is not None:
            found = answers.get(request.split(b" ")[1].decode().strip("/").partition("/")[0], OK)
            await line.say(found if isinstance(found, bytes) else found(request))

    return handler


# The scenario's own metrics


def test_own_metrics_are_taken_from_the_good_responses_of_their_step_in_a_journey() -> None:
    body = gzip.compress(json.dumps({"usage": {"tokens": 7}}).encode())
    head = f"Content-Encoding: gzip\r\nX-Work: 12.5 ms\r\nX-Cache: STALE\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\n" + head.encode() + body
    wanted = (
        OwnMetric(name="tokens", origin=MetricOrigin.JSON, value=OwnValue.MEAN, unit=OwnUnit.COUNT, what="$.usage.tokens"),
        OwnMetric(name="work", origin=MetricOrigin.HEADER, value=OwnValue.P95, unit=OwnUnit.TIME, what="x-work", factor=1e-3),
        OwnMetric(
            name="stale",
            origin=MetricOrigin.HEADER,
            value=OwnValue.SHARE,
            unit=OwnUnit.SHARE,
            what="x-cache",
            equals="stale",
            steps=("open",),
        ),
    )

    async def journey(user: User) -> None:
        with user.step("list"):
            await user.client.get("/gone")
            assert (await user.client.get("/items")).json()["usage"]["tokens"] == 7
            refused = (await user.client.get("/items")).status_code == 500
            assert refused, "a failed check"
        raise AssertionError("never reached")

    async def reading(user: User) -> None:
        with suppress(AssertionError):
            await journey(user)
        with user.step("open"):
            async with user.client.stream("GET", "/items"):
                # Its body is not read, so there is nothing to look at in it.
                pass

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, reading, metrics=wanted)
        (carried,) = ran.result.phases
        rows = ran.samples(carried.name)
        good = [int(((rows.step == step) & (rows.outcome == Outcome.OK)).sum()) for step in (0, 1)]
        assert min(good) > 10
        values = {each.name: each for each in carried.values}
        assert {name: set(each.value) for name, each in values.items()} == {"tokens": {7.0}, "work": {12.5}, "stale": {1.0}}
        assert [len(values[name].at) for name in ("tokens", "work", "stale")] == [good[0], sum(good), good[1]]
        assert set(values["stale"].at) <= set(rows.due.tolist())

    gone = b"HTTP/1.1 404 Not Found\r\nX-Work: 1\r\nContent-Length: 2\r\n\r\n{}"
    with_peer(main, answering(items=answer, gone=gone))


def test_a_body_that_is_too_long_to_be_looked_at_gives_no_value_and_the_next_one_does() -> None:
    long, short = (json.dumps({"n": 1, "rest": "x" * size}).encode() for size in (300_000, 10))
    answers = {
        name: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        for name, body in (("long", long), ("short", short))
    }
    count = OwnMetric(name="n", origin=MetricOrigin.JSON, value=OwnValue.SUM, unit=OwnUnit.COUNT, what="$.n")

    async def journey(user: User) -> None:
        for step, path in (("list", "/long"), ("open", "/short")):
            with user.step(step):
                await user.client.get(path)

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, journey, metrics=(count,))
        (carried,) = ran.result.phases
        rows = ran.samples(carried.name)
        assert (rows.outcome == Outcome.OK).all()
        assert [len(each.at) for each in carried.values] == [int((rows.step == 1).sum())]

    with_peer(main, answering(**answers))


# Books


@pytest.mark.parametrize(
    "arrivals", [RATE, OpenArrivals(rate=60.0, spacing="even", journeys=True), ClosedArrivals(think_time=0.05)]
)
def test_every_request_of_a_journey_is_one_sample_and_the_service_counts_the_same(arrivals: Any) -> None:
    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, browse, phase(users=4, arrivals=arrivals))
        run, rows = ran.run, ran.samples()
        assert run.sent_total == run.delivered_total == len(peer.requests) == len(rows) > 0
        assert ran.outcomes() == {"OK": len(rows)}
        assert Counter(rows.step.tolist()) == {0: paths(peer)["/items"], 1: len(rows) - paths(peer)["/items"]}
        assert run.connections_opened == peer.accepted <= 4
        assert (run.retries, run.reconnects, run.missed) == (0, 0, {"list": 0, "open": 0})
        assert set(rows.status.tolist()) == {200}
        assert set(rows.received.tolist()) == {len(OK)}

    with_peer(main)


def test_a_journeys_first_request_was_due_when_the_journey_was_and_the_others_when_they_are_made() -> None:
    async def main(peer: Peer) -> None:
        planned = phase(users=4, arrivals=RATE)
        ran = await travelling(peer.url, browse, planned)
        rows = ran.samples()
        first, later = rows.where(rows.step == 0), rows.where(rows.step == 1)
        schedule = open_schedule(planned, (LIST,), 1)
        np.testing.assert_allclose(np.sort(first.due), schedule.due + ran.run.started, atol=1e-6)
        assert (later.due == later.sent).all()
        assert np.isnan(later.connect).all()
        assert (later.first_byte > 0).all()

    with_peer(main)


def test_a_pause_before_the_first_request_is_not_the_generators_delay() -> None:
    async def thoughtful(user: User) -> None:
        await user.think(0.2)
        await browse(user)

    async def main(peer: Peer) -> None:
        rows = (await travelling(peer.url, thoughtful)).samples()
        early = rows.where(rows.step == 0)
        # Not a bound on the machine's speed: the pause itself would be in every one of them.
        assert float(np.median(early.lateness)) < 0.1

    with_peer(main)


def test_journeys_that_find_their_user_busy_to_the_end_are_blocked_at_the_first_step() -> None:
    async def main(peer: Peer) -> None:
        quick = tuple(Step(name=s.name, method="GET", path="/", probability=1.0, timeout=0.3) for s in (LIST, OPEN))
        ran = await travelling(peer.url, browse, phase(users=1, arrivals=RATE), steps=quick)
        assert ran.run.blocked["list"] > 0
        assert ran.run.blocked["open"] == 0
        # The last one may be under way when the drain's time is over.
        assert ran.outcomes()["TIMEOUT"] + ran.outcomes()["CANCELLED"] == len(ran.samples()) == len(peer.requests)

    async def silent(line: Line) -> None:
        while await line.request() is not None:
            pass

    with_peer(main, silent)


def test_a_queued_journey_waited_for_its_users_earlier_one() -> None:
    async def slow(line: Line) -> None:
        while await line.request() is not None:
            await trio.sleep(0.05)
            await line.say(OK)

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, browse, phase(users=1, arrivals=OpenArrivals(rate=20.0, journeys=True)))
        rows = ran.samples()
        first = rows.where(rows.step == 0)
        assert (first.queued > 0).any()
        assert not rows.where(rows.step == 1).queued.any()

    with_peer(main, slow)


def test_nothing_falls_due_after_the_measured_stretch_however_long_a_journey_goes_on() -> None:
    async def endless(user: User) -> None:
        with user.step("open"):
            while True:
                await user.client.get("/")

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, endless, phase(users=2, arrivals=RATE))
        run, rows = ran.run, ran.samples()
        assert (rows.due < run.measured_until).all()
        assert ran.outcomes() == {"OK": len(peer.requests)}

    with_peer(main)


SOURCE = """
async def browse(user):
    with user.step("list"):
        await user.client.get(f"/items?of={user.identity}")
    with user.step("open"):
        await user.client.get("/item")


async def buggy(user):
    raise KeyError("lost")
"""


async def in_shards(url: str, count: int, folder: Path, name: str) -> list[Samples]:
    """What real shards hand on that make journeys of a module in this folder."""
    # A name that no other test has: this process keeps what it has imported.
    module = f"journey_of_{folder.name}"
    (folder / f"{module}.py").write_text(SOURCE, encoding="utf-8")
    journey = Journey(function=f"{module}:{name}", folders=(str(folder),))
    scenario = Scenario(
        name="s", description="", digest="d", target=Target(url=url), auth=NoAuth(), steps=(LIST, OPEN), journey=journey
    )
    parts: list[Samples] = []
    planned = phase(users=6, duration=0.5, arrivals=RATE)
    with trio.fail_after(60):
        result = await run_sharded(
            Load(scenario=scenario, phases=(planned,)),
            count,
            origin=trio.current_time(),
            sink=lambda _, samples: parts.append(samples),
        )
    summarise(planned, ("list", "open"), result.phases[0], Samples.concatenate(parts), [], result.layers)
    return parts


def test_any_number_of_shards_makes_the_same_journeys(tmp_path: Path) -> None:
    async def main(peer: Peer) -> None:
        seen = []
        for count in (1, 3):
            before = len(peer.requests)
            rows = Samples.concatenate(await in_shards(peer.url, count, tmp_path, "browse"))
            assert len(rows) == len(peer.requests) - before
            # What follows the first request may be cut off by the end of the stretch.
            seen.append(Counter(path for path in requested(peer)[before:] if path.startswith("/items")))
        assert seen[0] == seen[1] != Counter()

    with_peer(main)


def test_a_fault_of_the_code_in_a_shard_is_reported_as_it_is_in_one_process(tmp_path: Path) -> None:
    async def main(peer: Peer) -> None:
        with pytest.raises(JourneyError, match="raised KeyError: 'lost'") as caught:
            await in_shards(peer.url, 2, tmp_path, "buggy")
        assert caught.value.where == f"{tmp_path}/journey_of_{tmp_path.name}.py:10"

    with_peer(main)


# Outcomes


def test_what_goes_wrong_with_a_request_is_its_outcome_and_ends_the_journey_where_it_is_not_caught() -> None:
    async def careless(user: User) -> None:
        with user.step("list"):
            (await user.client.get("/missing")).raise_for_status()
        with user.step("open"):
            await user.client.get("/never")

    async def careful(user: User) -> None:
        with user.step("list"), pytest.raises(httpx.RemoteProtocolError):
            await user.client.get("/garbage")
        with user.step("open"):
            await user.client.get("/went-on")

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, careless)
        assert ran.outcomes() == {"STATUS": len(ran.samples())}
        assert set(ran.samples().status.tolist()) == {404}
        assert not paths(peer)["/never"]
        ran = await travelling(peer.url, careful)
        # The last journeys are cut off where the stretch ends.
        assert 0 < paths(peer)["/went-on"] == ran.outcomes()["OK"] <= ran.outcomes()["PROTOCOL"]
        assert ran.outcomes().keys() == {"PROTOCOL", "OK"}

    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    with_peer(main, answering(missing=gone, garbage=b"what?\r\n\r\n"))


def test_a_step_says_which_statuses_are_good() -> None:
    async def main(peer: Peer) -> None:
        picky = Step(name="list", method="GET", path="/", probability=1.0, expect_status=frozenset({404}))
        ran = await travelling(peer.url, browse, steps=(picky, OPEN))
        rows = ran.samples()
        assert set(rows.outcome[rows.step == 0].tolist()) == {Outcome.STATUS}
        assert set(rows.outcome[rows.step == 1].tolist()) == {Outcome.OK}

    with_peer(main)


def test_a_request_has_the_time_of_its_step_however_it_is_spent() -> None:
    raised: list[BaseException] = []

    async def patient(user: User) -> None:
        try:
            with user.step("list"):
                async with user.client.stream("GET", "/drip") as found:
                    async for _ in found.aiter_bytes():
                        pass
        except httpx.TimeoutException as error:
            raised.append(error)
            raise

    async def drip(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await line.stream.send_all(b".")
            await trio.sleep(0.02)

    async def main(peer: Peer) -> None:
        quick = Step(name="list", method="GET", path="/", probability=1.0, timeout=0.2)
        ran = await travelling(peer.url, patient, steps=(quick, OPEN))
        assert ran.outcomes()["TIMEOUT"] > 0
        # Those that queue behind the late ones may not get to their own end.
        assert ran.outcomes().keys() <= {"TIMEOUT", "CANCELLED"}
        assert "longer than its 0.2 s" in str(raised[0])
        assert set(ran.samples().status.tolist()) == {0}

    with_peer(main, drip)


def test_a_request_that_the_journey_itself_gives_up_on_took_too_long() -> None:
    async def impatient(user: User) -> None:
        with user.step("list"), trio.move_on_after(0.02):
            await user.client.get("/")
        with user.step("open"), pytest.raises(httpx.ReadTimeout):
            await user.client.get("/", timeout=0.02)

    async def silent(line: Line) -> None:
        while await line.request() is not None:
            pass

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, impatient)
        assert ran.outcomes() == {"TIMEOUT": len(ran.samples())}
        assert ran.run.connections_opened > 4

    with_peer(main, silent)


def test_a_service_that_is_not_there_refuses_every_request() -> None:
    async def main() -> None:
        async with serving() as peer:
            url = peer.url
        ran = await travelling(url, browse)
        assert ran.outcomes().keys() == {"REFUSED"}
        assert ran.run.delivered_total == 0

    trio.run(main)


def test_a_stop_cancels_what_is_under_way() -> None:
    stop = trio.Event()

    async def silent(line: Line) -> None:
        while await line.request() is not None:
            stop.set()

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, browse, phase(users=2, duration=20.0, arrivals=RATE), stop=stop)
        assert ran.result.interrupted
        assert ran.outcomes() == {"CANCELLED": len(peer.requests)}
        assert peer.open == 0 or await closed(peer)

    async def closed(peer: Peer) -> bool:
        while peer.open:
            await trio.testing.wait_all_tasks_blocked()
        return True

    with_peer(main, silent)


def test_cache_headers_and_redirects_are_counted() -> None:
    async def follow(user: User) -> None:
        with user.step("list"):
            found = await user.client.get("/there", follow_redirects=True)
        assert found.text == "hi"

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, follow)
        rows = ran.samples()
        assert ran.result.layers == ("redis",)
        assert 0 < (rows.status == 200).sum() <= (rows.status == 302).sum() == paths(peer)["/there"]
        assert set(rows.cache[rows.status == 200].tolist()) == {FIRST_CACHE_LAYER}

    here = b"HTTP/1.1 200 OK\r\nX-Cache: HIT\r\nX-Cache-Layer: redis\r\nContent-Length: 2\r\n\r\nhi"
    there = b"HTTP/1.1 302 Found\r\nLocation: /here\r\nContent-Length: 0\r\n\r\n"
    with_peer(main, answering(here=here, there=there))


# Checks


async def check_within(user: User) -> None:
    with user.step("list"):
        assert (await user.client.get("/")).text == "something else"


async def check_behind(user: User) -> None:
    with user.step("list"):
        found = await user.client.get("/")
    assert found.text == "something else"


async def fail(user: User) -> None:
    with user.step("list"):
        await user.client.get("/")
        user.fail("not what I wanted")


async def check_in_a_task(user: User) -> None:
    with user.step("list"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(check_behind_open, user)


async def check_behind_open(user: User) -> None:
    with user.step("list"):
        found = await user.client.get("/")
    assert not found.is_success


@pytest.mark.parametrize("code", [check_within, check_behind, fail, check_in_a_task], ids=lambda code: code.__name__)
def test_a_check_that_fails_is_the_outcome_of_the_last_answer(code: Code) -> None:
    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, code)
        assert ran.outcomes() == {"CHECK": len(peer.requests)}
        assert set(ran.samples().status.tolist()) == {200}

    with_peer(main)


def test_a_failed_check_counts_for_the_answer_of_its_own_block_and_no_other() -> None:
    async def several(user: User) -> None:
        with user.step("list"):
            await user.client.get("/good")
            try:
                with user.step("open"):
                    await user.client.get("/bad")
                    raise AssertionError
            except AssertionError:
                await user.client.get("/good")

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, several)
        rows = ran.samples()
        assert set(rows.outcome[rows.step == 1].tolist()) == {Outcome.CHECK}
        assert set(rows.outcome[rows.step == 0].tolist()) == {Outcome.OK}

    with_peer(main)


# Faults of the code


def raised_by(code: Code, **options: Any) -> JourneyError:
    """What ends the run of a journey with a fault."""
    found: list[JourneyError] = []

    async def main(peer: Peer) -> None:
        with pytest.RaisesGroup(JourneyError, flatten_subgroups=True, allow_unwrapped=True) as caught:
            await travelling(peer.url, code, **options)
        error: BaseException = caught.value
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        assert isinstance(error, JourneyError)
        found.append(error)

    with_peer(main)
    return found[0]


def line_of(code: Code, text: str) -> str:
    """Where a text stands in the source of a function of this file."""
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    begin = code.__code__.co_firstlineno
    return f"{__file__}:{next(n for n, line in enumerate(source, 1) if n >= begin and text in line)}"


async def buggy(user: User) -> None:
    with user.step("list"):
        found = await user.client.get("/")
    len(found.content)["items"]  # type: ignore[index]


async def buggy_in_a_task(user: User) -> None:
    async def inner() -> None:
        await trio.lowlevel.checkpoint()
        raise KeyError("lost")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inner)


async def elsewhere(user: User) -> None:
    with user.step("list"):
        await user.client.get("http://elsewhere.test/")


async def outside(user: User) -> None:
    await user.client.get("/")


async def misspelt(user: User) -> None:
    with user.step("lsit"):
        await user.client.get("/")


async def unfed(user: User) -> None:
    user.row("acounts")


async def hasty(user: User) -> None:
    assert user.index < 0


@pytest.mark.parametrize(
    ("code", "what", "line"),
    [
        (buggy, "raised TypeError: 'int' object is not subscriptable", "len(found.content)"),
        (buggy_in_a_task, "raised KeyError: 'lost'", "raise KeyError"),
        (elsewhere, "raised UnsupportedProtocol: http://elsewhere.test/ is not where", "client.get"),
        (outside, "outside of any step", "client.get"),
        (misspelt, "there is no step 'lsit', did you mean 'list'?", "user.step"),
        (unfed, "there is no feeder 'acounts', did you mean 'accounts'?", "user.row"),
        (hasty, "raised AssertionError", "assert user.index"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_of_the_code_ends_the_run_and_names_its_line(code: Code, what: str, line: str) -> None:
    accounts = Feeder(name="accounts", columns=("id",), rows=(("a",),))
    error = raised_by(code, feeders=(accounts,))
    assert what in error.what
    assert error.where == line_of(code, line)
    assert error.exit_code == 2


# What a user has


def test_a_user_is_who_the_scenario_says_it_is() -> None:
    seen: dict[int, list[Any]] = {}

    async def look(user: User) -> None:
        user.kept["count"] = user.kept.get("count", 0) + 1
        seen[user.index] = [user.identity, user.row("accounts"), user.random.random(), user.kept["count"]]
        with user.step("list"):
            await user.client.get("/")

    async def main(peer: Peer) -> None:
        accounts = Feeder(name="accounts", columns=("id", "plan"), rows=(("a", "pro"), ("b", "free")))
        steps = (
            Step(
                name="list",
                method="GET",
                path="/",
                probability=1.0,
                headers=(("X-Account", "${accounts.id}"), ("X-User", "${user.id}"), ("X-Key", "${env.KEY}")),
            ),
        )
        found = []
        for _ in range(2):
            seen.clear()
            await travelling(
                peer.url,
                look,
                steps=steps,
                feeders=(accounts,),
                auth=BearerAuth(variable="TOKEN"),
                secrets={"TOKEN": "t0ken", "KEY": "k"},
            )
            found.append({index: each[:3] for index, each in seen.items()})
        assert found[0] == found[1]
        assert [found[0][n][1] for n in range(4)] == [{"id": i, "plan": p} for i, p in (("a", "pro"), ("b", "free")) * 2]
        assert len({each[0] for each in found[0].values()}) == 4
        assert max(each[3] for each in seen.values()) > 1
        head = next(request for request in peer.requests if b"X-Account: b" in request)
        for line in (b"Authorization: Bearer t0ken", b"X-Key: k", b"User-Agent: velro-gate/"):
            assert line in head
        assert any(f"X-User: {each[0]}".encode() in head for each in found[0].values())

    with_peer(main)


def test_random_draws_of_a_user_are_the_same_in_every_run() -> None:
    async def main(peer: Peer) -> None:
        found = []
        for _ in range(2):
            drawn: dict[int, list[float]] = {}

            async def draw(user: User, drawn: dict[int, list[float]] = drawn) -> None:
                drawn.setdefault(user.index, []).append(user.random.random())
                await browse(user)

            await travelling(peer.url, draw)
            found.append({index: draws[:3] for index, draws in drawn.items()})
        assert found[0] == found[1]
        assert len({draws[0] for draws in found[0].values()}) == 4

    with_peer(main)


@pytest.mark.parametrize("kept", [True, False])
def test_cookies_are_kept_where_the_scenario_says_so(kept: bool) -> None:
    async def main(peer: Peer) -> None:
        await travelling(peer.url, browse, cookies=kept)
        assert any(b"Cookie: a=1" in request for request in peer.requests) is kept

    with_peer(main, answering(items=b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 0\r\n\r\n"))


def test_a_scenario_with_one_step_needs_no_blocks() -> None:
    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, outside, steps=(LIST,))
        assert ran.outcomes() == {"OK": len(peer.requests)}

    with_peer(main)


def test_a_journey_may_ask_several_things_at_once_each_under_its_own_step() -> None:
    async def one(user: User, step: str, path: str) -> None:
        with user.step(step):
            await user.client.get(path)

    async def both(user: User) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(one, user, "list" if number % 2 else "open", f"/{'list' if number % 2 else 'open'}")

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, both, phase(users=2, arrivals=OpenArrivals(rate=20.0, journeys=True)))
        rows = ran.samples()
        assert Counter(rows.step.tolist()) == {0: paths(peer)["/list"], 1: paths(peer)["/open"]}
        assert ran.outcomes() == {"OK": len(peer.requests)}
        assert peer.accepted == ran.run.connections_opened <= 12

    with_peer(main)


def test_a_journey_streams_up_and_down() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"12345"
        yield b"67890"

    async def stream(user: User) -> None:
        with user.step("list"):
            async with user.client.stream("POST", "/", content=pieces(), headers={"Content-Length": "10"}) as found:
                assert [piece async for piece in found.aiter_bytes()] == [b"ok"]
        with user.step("open"):
            async with user.client.stream("GET", "/big") as found:
                assert found.status_code == 200

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, stream)
        assert ran.outcomes() == {"OK": len(peer.requests)}
        assert {r.partition(b"\r\n\r\n")[2] for r in peer.requests if r.startswith(b"POST")} == {b"1234567890"}

    with_peer(main, answering(big=b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 9_000_000))


def test_a_users_client_logs_in_once_and_keeps_its_token() -> None:
    async def member(user: User) -> None:
        if "token" not in user.kept:
            with user.step("list"):
                user.kept["token"] = (await user.client.post("/login")).json()["token"]
        with user.step("open"):
            await user.client.get("/me", headers={"Authorization": f"Bearer {user.kept['token']}"})

    async def main(peer: Peer) -> None:
        await travelling(peer.url, member)
        assert paths(peer)["/login"] == 4
        assert {request.count(b"Bearer abc") for request in peer.requests if b"/me" in request} == {1}

    body = json.dumps({"token": "abc"}).encode()
    with_peer(main, answering(login=b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)))


def test_connections_that_the_service_closes_are_replaced_and_counted() -> None:
    async def one_each(line: Line) -> None:
        await line.request()
        await line.say(OK)

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, browse)
        assert ran.run.connections_opened == peer.accepted
        assert ran.run.reconnects + 4 == peer.accepted

    with_peer(main, one_each)


def test_a_journey_is_found_by_its_name_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "journey_of_a_shard.py").write_text("async def browse(user):\n    return 5\n", encoding="utf-8")
    journey = pickle.dumps(Journey(function="journey_of_a_shard:browse", folders=(str(tmp_path),)))
    code = f"import pickle, velro_gate.engine.journeys.api as j; print(j.find_function(pickle.loads({journey!r})).__name__)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "browse\n"


def test_a_journey_that_cannot_be_imported_any_more_is_reported() -> None:
    for function in ("journey_that_is_gone:browse", "json:browse"):
        with pytest.raises(JourneyError, match="cannot be imported"):
            find_function(Journey(function=function))


def test_an_answer_that_is_no_json_where_it_is_read_as_such_is_an_outcome() -> None:
    async def reads(user: User) -> None:
        with user.step("list"):
            found = await user.client.get("/list")
        found.json()

    page = b"HTTP/1.1 %b\r\nContent-Length: 6\r\n\r\n<html>"

    async def main(peer: Peer) -> None:
        assert set((await travelling(peer.url, reads)).outcomes()) == {"STATUS"}

    with_peer(main, answering(list=page % b"503 Busy"))

    async def good(peer: Peer) -> None:
        assert set((await travelling(peer.url, reads)).outcomes()) == {"CHECK"}

    with_peer(good, answering(list=page % b"200 OK"))


PACKED = gzip.compress(b"a" * 5_000, mtime=0)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("coding", "body", "outcome"),
    [
        (b"gzip", PACKED, "OK"),
        (b"gzip", PACKED + PACKED, "OK"),
        (b"deflate", zlib.compress(b"a" * 5_000), "OK"),
        (b"deflate", zlib.compress(b"a" * 5_000)[2:-4], "OK"),
        (b"gzip", b"this is no gzip", "PROTOCOL"),
        (b"gzip", PACKED[:-12], "PROTOCOL"),
        (b"gzip", gzip.compress(b"", mtime=0) * 1_500, "PROTOCOL"),
        (b"identity", b"plain", "OK"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_no_good_answer(coding: bytes, body: bytes, outcome: str, streamed: bool) -> None:
    async def reads(user: User) -> None:
        with user.step("list"):
            if streamed:
                async with user.client.stream("GET", "/list") as found:
                    async for _ in found.aiter_bytes():
                        pass
            else:
                await user.client.get("/list")

    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (coding, len(body), body)

    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, reads, phase(users=1, ramp=0.1, duration=0.3, arrivals=RATE))
        assert set(ran.outcomes()) - {"CANCELLED"} == {outcome}

    with_peer(main, answering(list=answer))
