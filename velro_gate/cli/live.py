"""The live page of a running load: on loopback, for those who have its address, and gone with the run.

A thread of its own serves it. It sleeps until somebody asks, and asks the run for nothing: the run's loop adds a row a second.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from velro_gate.errors import UsageError
from velro_gate.model.run import Progress
from velro_gate.secrecy import leave_as_is, outgoing, outgoing_json

if TYPE_CHECKING:
    from velro_gate.report.charts.live import RowsSince

HOST = "127.0.0.1"
_IDLE_SECONDS = 30.0
"""After which a connection that asks nothing is closed."""

MOST_CONNECTIONS = 32
"""At a time, a thread each: any user of the machine can connect, and the load needs the descriptors of this process."""


@contextmanager
def live_page(port: int, title: str, say: Callable[[str], None]) -> Iterator[Callable[[Progress], None]]:
    """Serve the page until the block ends; what it yields takes in the state of the running load. port: 0: any free one.

    Raises:
        UsageError: the port is taken or not allowed, or the library that draws charts is not installed.
    """
    # Charts are costly to import, and most runs have no live page.
    from velro_gate.report.charts.library import library
    from velro_gate.report.charts.live import LiveRows, live_html

    page = live_html(title)
    if page is None:
        raise UsageError("there is no live page", why="the package bokeh is not installed", hint="Install velro-gate again.")
    leave_as_is(library() or "")
    rows = LiveRows()
    try:
        server = _Server(port, page, lambda number: _document(rows.since(number)))
    except OSError as error:
        hint = "Choose another port, or none: '--live' alone takes any free one."
        raise UsageError("the live page cannot be served", where=f"{HOST}:{port}", why=error.strerror, hint=hint) from error
    thread = threading.Thread(target=server.serve_forever, name="live page", daemon=True)
    thread.start()
    say(f"live page: {server.url}")
    begun = time.monotonic()
    try:
        yield lambda progress: rows.add(time.monotonic() - begun, progress)
    finally:
        server.over = True
        server.shutdown()
        server.server_close()
        thread.join()


def _document(found: RowsSince) -> str:
    """Rows as a JSON document that may leave the process."""
    # Row by row: a long text would be searched in one go, and the load waits meanwhile.
    rows = ",".join(map(outgoing_json, found.rows))
    return f'{{"next":{found.next},"more":{"true" if found.more else "false"},"rows":[{rows}]}}'


class _Server(ThreadingHTTPServer):
    """Knows the page, the address that is asked for, and where the rows come from."""

    daemon_threads = True
    request_queue_size = 2 * MOST_CONNECTIONS
    # Neither may an open tab hold up the end of a run.
    block_on_close = False
    over = False
    """Whether the run is: then a tab's connection, which outlives the listening socket, gets no more answers."""

    def __init__(self, port: int, page: str, since: Callable[[int], str]) -> None:
        self.page, self.since = outgoing(page).encode(), since
        self.token = secrets.token_urlsafe(24)
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((HOST, port), _Handler)

    @property
    def url(self) -> str:
        """The address of the page, its token in it."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hear a connection in a thread of its own, or close it where too many are heard already."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Hear it, until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a tab that was closed is no fault of the run."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "velro-gate", ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """The page or its data; whoever has no token, or came by another name, learns nothing."""
        if self.server.over:
            self.close_connection = True
            return
        asked = urlsplit(self.path)
        _, _, rest = asked.path.partition("/")
        token, _, name = rest.partition("/")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        # A page of the network that has its name point here would come by that name.
        if not known or self.headers.get("Host") not in self._names or name not in ("", "data"):
            self._send(404, "text/plain", b"not found\n")
        elif name == "":
            self._send(200, "text/html; charset=utf-8", self.server.page)
        else:
            wanted = parse_qs(asked.query).get("from", ["0"])[0]
            number = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 else 0
            self._send(200, "application/json", self.server.since(number).encode())

    @property
    def _names(self) -> tuple[str, ...]:
        port = self.server.server_port
        return f"{HOST}:{port}", f"localhost:{port}"

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line for each request would fill the terminal."""
