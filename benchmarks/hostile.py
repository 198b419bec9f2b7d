"""A server whose every response is of one unkind sort, for the memory of a generator that meets it.

``python -m benchmarks.hostile close --port 8080``; with ``--tls`` over TLS, with a certificate of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.processes import module, started

_BODY = b'{"ok":true}'
_LENGTH = b"Content-Length: %d\r\n" % len(_BODY)
ANSWERS: dict[str, tuple[bytes, bool]] = {
    "close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n%b\r\n%b" % (_LENGTH, _BODY), True),
    "head": (b"HTTP/1.1 200 OK\r\n%b\r\n" % _LENGTH, False),
    "http10": (b"HTTP/1.0 200 OK\r\n\r\n" + _BODY, True),
    "garbage": (b"\0\1\2 this is not HTTP\r\n\r\n", True),
    "errors": (b"HTTP/1.1 503 Busy\r\n%b\r\n%b" % (_LENGTH, _BODY), False),
}
"""Kind -> what is said to each request, and whether the connection ends with it."""


async def _serve(kind: str, port: int, tls: ssl.SSLContext | None) -> None:
    answer, ends = ANSWERS[kind]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_HEALTHY if head.startswith(b"GET /health") else answer)
                await writer.drain()
                if ends:
                    break
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port, backlog=4_096, ssl=tls)
    host, bound = server.sockets[0].getsockname()[:2]
    sys.stdout.write(json.dumps({"url": f"{'https' if tls else 'http'}://{host}:{bound}"}) + "\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


_HEALTHY = b"HTTP/1.1 200 OK\r\nConnection: close\r\n%b\r\n%b" % (_LENGTH, _BODY)


def _own_certificate() -> ssl.SSLContext:
    import trustme

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@contextmanager
def hostile(kind: str, *, tls: bool, core: int | None) -> Iterator[str]:
    """The URL of such a server, which runs until the block ends.

    Raises:
        FailedError: it did not start.
    """
    with started(module("benchmarks.hostile", kind, *(["--tls"] if tls else [])), core=core) as running:
        yield str(json.loads(running.line())["url"])


def main() -> None:
    """Serve until it is ended."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("kind", choices=sorted(ANSWERS))
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--tls", action="store_true")
    wanted = options.parse_args()
    asyncio.run(_serve(wanted.kind, wanted.port, _own_certificate() if wanted.tls else None))


if __name__ == "__main__":
    main()
