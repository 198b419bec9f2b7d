"""Small services that a duet starts: each a line for the shell, and a program beside it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_SERVICE = '''\
"""Answers every path on PORT: slowly by so many milliseconds, or not well. Usage: service.py MILLISECONDS [DIES_AFTER]"""
import asyncio, os, random, sys

delay = float(sys.argv[1]) / 1000.0
dies_after = int(sys.argv[2]) if len(sys.argv) > 2 else None
answered = 0
draw = random.Random()


async def handle(reader, writer):
    global answered
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            if b"/health" not in head.split(b"\\r\\n", 1)[0]:
                answered += 1
                if dies_after is not None and answered > dies_after:
                    os._exit(3)
                await asyncio.sleep(delay * draw.uniform(0.9, 1.1))
            writer.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: 17\\r\\n\\r\\n{"allowed": true}')
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    print("serving on", os.environ["PORT"], flush=True)
    server = await asyncio.start_server(handle, "127.0.0.1", int(os.environ["PORT"]), backlog=512)
    await server.serve_forever()


asyncio.run(main())
'''


def service(folder: Path, milliseconds: float, *, dies_after: int | None = None) -> str:
    """The line that serves, answering after so many milliseconds; dies_after: requests until it ends without a word."""
    program = folder / "service.py"
    program.write_text(_SERVICE, encoding="utf-8")
    more = "" if dies_after is None else f" {dies_after}"
    return f"exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(program))} {milliseconds}{more}"
