"""A process of ``local:N``: a scheduler, or workers, until standard input closes.

The first line of standard input says which, and holds the certificate and key, which thus are in no argument and no variable.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any


def main() -> None:
    """Run until standard input closes."""
    order = json.loads(sys.stdin.buffer.readline())
    # Nothing of a user's own settings of Dask has a say, and no file of settings is written.
    os.environ["DASK_CONFIG"] = order["folder"]
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
        sys.stdout.write(json.dumps({"address": scheduler.address}) + "\n")
        sys.stdout.flush()
    else:
        from distributed import Worker

        workers = [
            await Worker(
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


if __name__ == "__main__":
    main()
