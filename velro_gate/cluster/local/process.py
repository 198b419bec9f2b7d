"""A process of ``local:N``: a scheduler, or workers, until standard input closes.

The first line of standard input says which, and holds the certificate and key, which thus are in no argument and no variable.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

QUIET = {
    "distributed.worker.profile.enabled": False,  # else the stack of a running task is read a hundred times a second
    "distributed.admin.tick.interval": "1s",  # else every process wakes fifty times a second to measure its own loop
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
}
"""Settings of Dask under which it uses little of the processor that the load needs: it starts one task and waits for its end.
docs/cluster.md gives them for workers that others start.
"""

IDLE = ("idle-timeout", "no-workers-timeout")
"""What a scheduler looks at four times a second, to end itself or tasks after limits that are not set here."""

HEARTBEAT = 5.0
"""Seconds. A scheduler takes a worker for lost after five minutes without one."""


def quiet_environment() -> dict[str, str]:
    """The settings as variables, which Dask reads when it is imported."""
    return {f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": str(value) for name, value in QUIET.items()}


def main() -> None:
    """Run until standard input closes."""
    order = json.loads(sys.stdin.buffer.readline())
    # Nothing of a user's own settings of Dask has a say, and no file of settings is written.
    os.environ.update(quiet_environment(), DASK_CONFIG=order["folder"])
    asyncio.run(_run(order))


async def _run(order: dict[str, Any]) -> None:
    from distributed.security import Security

    certificate, key = order["certificate"], order["key"]
    roles = ("client", "scheduler", "worker")
    security = Security(
        require_encryption=True,
        tls_ca_file=certificate,
        **{f"tls_{role}_cert": certificate for role in roles},
        **{f"tls_{role}_key": key for role in roles},
    )
    if order["role"] == "scheduler":
        from distributed import Scheduler

        scheduler = await Scheduler(host="127.0.0.1", port=0, protocol="tls", dashboard=False, security=security)
        for name in IDLE:
            if name in scheduler.periodic_callbacks:
                scheduler.periodic_callbacks[name].stop()
        sys.stdout.write(json.dumps({"address": scheduler.address}) + "\n")
        sys.stdout.flush()
    else:
        workers = [
            await _quiet_worker()(
                order["address"],
                host="127.0.0.1",
                nthreads=1,
                name=f"local-{number + 1}",
                local_directory=order["folder"],
                memory_limit=0,
                dashboard=False,
                security=security,
            )
            for number in order["numbers"]
        ]
        # Whoever holds no reference to them lets them go.
        assert workers
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    # Closing in order would wait for one another; what is left are files in a folder that our parent removes.
    os._exit(0)


def _quiet_worker() -> Any:
    """A worker that greets its scheduler seldom: twice a second is Dask's own pace for a few, and no setting."""
    from distributed import Worker

    class QuietWorker(Worker):  # type: ignore[misc]
        """Its connection shows sooner than a heartbeat that it is gone."""

        async def heartbeat(self) -> None:
            """As before, but not again so soon."""
            await super().heartbeat()
            self.periodic_callbacks["heartbeat"].callback_time = HEARTBEAT * 1_000.0

    return QuietWorker


if __name__ == "__main__":
    main()
