"""The journey of journey-example.yaml: what one user of the sandbox does, as ordinary code with an ordinary httpx client."""

from __future__ import annotations

from functools import partial

import trio

from velro_gate.journeys import User


async def browse(user: User) -> None:
    """Look through one's generations, open the newest ones at once, and now and then make another one."""
    with user.step("list"):
        listed = await user.client.get("/api/v1/generations", params={"limit": 20})
        generations = listed.raise_for_status().json()["items"]
        assert generations, "every user has some"

    await user.think(user.random.expovariate(1 / 0.05))

    # A block may hold several requests, also at once: each has a connection of its own.
    with user.step("open"):
        async with trio.open_nursery() as nursery:
            for generation in generations[:2]:
                query = {"resource": "generation", "id": generation["id"]}
                nursery.start_soon(partial(user.client.get, "/api/v1/authorization/check", params=query))

    if user.random.random() < 0.25:
        with user.step("create"):
            order = {"model": user.row("models")["id"], "prompt": f"a lighthouse in fog, number {len(generations)}"}
            made = await user.client.post("/api/v1/generations", json=order)
            if made.is_success and made.json()["status"] != "queued":
                user.fail("a new generation waits for its turn")
