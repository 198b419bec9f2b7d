"""One HTTP/1.1 connection: a non-blocking socket, plain or TLS, driven by the poller.

Rules
- A connection is owned by one user and carries one request at a time.
- Its owner hears exactly one of ``answered`` and ``broken`` for each request, and ``opened`` or ``broken`` for each ``open``,
  possibly before the call that caused it returns. ``close`` is silent.
- ``broken`` leaves the connection closed. ``early`` says that not a byte of a response had come: on an idle
  connection the service has then most likely closed it before it saw the request. ``fault`` says in words what happened, and
  ``evidence`` holds what had come of the response.
- Plain and TLS sockets are used alike: both raise when they would block.

Costs, saturated on one core with 100 users (``python -m benchmarks.costs``, ``python -m benchmarks.profile``): 14 µs a request,
21 µs over TLS; 55 % of it inside ``send``, 10 % inside ``recv``, 4 % to recall a head that was parsed before, 4 % to keep the
sample. A connection costs .08 ms, over TLS .85 ms. What is added here is added to each request: measure before and after.
"""

from __future__ import annotations

import errno
import socket
import ssl

from velro_gate.engine.http.faults import OURS, ConnectionFault, Doing, fault_of
from velro_gate.engine.http.owners import ConnectionState, Owner
from velro_gate.engine.http.parsing.responses import Response, ResponseState
from velro_gate.engine.http.poller import READ, WRITE
from velro_gate.engine.http.wiring import HANDSHAKES_A_TURN, MOST_ANSWER, Wire
from velro_gate.engine.stalls import data_age, lay_ready_since
from velro_gate.model.samples import Outcome

__all__ = ["HANDSHAKES_A_TURN", "MOST_ANSWER", "Connection", "ConnectionState", "Owner", "Wire"]

_RECEIVE = 64 * 1024
"""Bytes that are asked for in one call. Python allocates as many for each call and gives back what was not filled, so more
would cost every response; most fit.
"""
_BLOCKED = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

# A member of an enumeration costs a look-up each time it is named; the hot path names these.
_IDLE, _SENDING, _RECEIVING = ConnectionState.IDLE, ConnectionState.SENDING, ConnectionState.RECEIVING


class Connection:
    """See the module's rules."""

    __slots__ = (
        "_address",
        "_addresses",
        "_answer",
        "_began",
        "_fd",
        "_head",
        "_owner",
        "_rest",
        "_socket",
        "_tries",
        "_turn",
        "_wants_body",
        "_wire",
        "evidence",
        "fault",
        "state",
        "written",
    )

    def __init__(self, wire: Wire, owner: Owner) -> None:
        self._wire = wire
        self._owner = owner
        self._socket: socket.socket | None = None
        self._fd = -1
        self._answer: Response | None = None
        self._rest = memoryview(b"")
        self._began = 0.0
        self._addresses = wire.route.addresses
        self._address = self._tries = 0
        self._turn = wire.dials.turn()
        self._head = self._wants_body = False
        self.state = ConnectionState.CLOSED
        self.written = False
        self.fault = ""
        self.evidence = b""

    # Opening

    def open(self, *, hurried: bool = False) -> None:
        """Connect. Only when closed. hurried: a request waits for it."""
        self.state = ConnectionState.WAITING
        self.written = False
        self._tries = 0
        self._wire.dials.add(self, hurried=hurried)

    def hurry(self) -> None:
        """Go before those that wait for their turn without a request. Only when waiting."""
        self._wire.dials.hurry(self)

    def dial(self) -> bool:
        """Begin to connect: it is this connection's turn. False where it has been closed meanwhile."""
        if self.state is not ConnectionState.WAITING:
            return False
        # Those of the route may be others by the time that it stands.
        self._addresses = self._wire.route.addresses
        self._address = self._wire.route.first_address(self._turn)
        self._began = self._wire.now()
        self.state = ConnectionState.DIALLING
        self._connect()
        return True

    def _connect(self) -> None:
        route = self._wire.route
        address = self._addresses[self._address]
        try:
            made = route.new_socket(address.family, self._turn)
        except OSError as error:
            self._not_connected(error.errno or errno.EIO)
            return
        self._fd = made.fileno()
        # Before connect(): what is watched only afterwards and fails at once is never heard of.
        self._wire.poller.add(self._fd, WRITE, self._ready)
        self._socket = made
        code = made.connect_ex(address.sockaddr)
        if address.family == socket.AF_UNIX:
            # Such a connection stands at once or not at all.
            self._connected_locally(code)
        elif code not in (0, errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK):
            self._not_connected(code)

    def _connected_locally(self, code: int) -> None:
        if code == 0:
            self._connected()
        elif code == errno.EAGAIN:
            self._drop_socket()
            self.state = ConnectionState.WAITING
            self._wire.dials.postpone(self)
        else:
            self._not_connected(code)

    def _continue_connect(self) -> None:
        made, route = self._socket, self._wire.route
        assert made is not None
        # A second call shows the result of the first one, and distinguishes an event that was not ours from one that was.
        code = made.connect_ex(self._addresses[self._address].sockaddr)
        if code in (errno.EALREADY, errno.EINPROGRESS):
            return
        if code not in (0, errno.EISCONN):
            self._not_connected(code)
            return
        if self._addresses is route.addresses:
            route.preferred = self._address
        self._connected()

    def _connected(self) -> None:
        if self._wire.route.tls is None:
            self._wire.poller.change(self._fd, READ)
            self._stands()
        else:
            self._begin_handshake()

    def _begin_handshake(self) -> None:
        poller, made = self._wire.poller, self._socket
        assert made is not None
        # Wrapping takes the descriptor over; where it fails, it has closed it.
        poller.remove(self._fd)
        self._socket = None
        try:
            wrapped = self._wire.route.wrapped(made)
        except OSError as error:
            made.close()
            self._fail(self._judge(Doing.HANDSHAKE, error))
            return
        self._socket = wrapped
        self._fd = wrapped.fileno()
        poller.add(self._fd, READ, self._ready)
        self.state = ConnectionState.HANDSHAKE
        self._continue_handshake()

    def _continue_handshake(self) -> None:
        made = self._socket
        assert isinstance(made, ssl.SSLSocket)
        try:
            made.do_handshake()
        except ssl.SSLWantReadError:
            self._wire.poller.change(self._fd, READ)
        except ssl.SSLWantWriteError:
            self._wire.poller.change(self._fd, WRITE)
        except OSError as error:
            self._fail(self._judge(Doing.HANDSHAKE, error))
        else:
            if made.session_reused:
                self._wire.sessions_reused += 1
            elif made.version() != "TLSv1.3":
                # It is whole now; a ticket that comes later is noticed on the idle connection.
                self._wire.route.remember(made, self._wire.now())
            self._wire.poller.change(self._fd, READ)
            self._stands()

    def _cause_of(self, error: OSError) -> OSError:
        """What is behind a failure to send: who refuses a certificate says so and closes, and the reason may lie ready."""
        made = self._socket
        if isinstance(made, ssl.SSLSocket):
            try:
                made.recv(1)
            except (*_BLOCKED, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                pass
            except OSError as reason:
                return reason
        return error

    def _judge(self, doing: Doing, error: OSError) -> ConnectionFault:
        """What an error means, noted for the phase where it is about TLS."""
        fault = fault_of(doing, error)
        if fault.outcome in (Outcome.TLS, Outcome.CERTIFICATE):
            self._wire.tls_fault = self._wire.tls_fault or fault.words
        if fault.outcome is Outcome.CERTIFICATE:
            # Whatever has been sent: who did not let us in has not read it.
            self.written = False
        return fault

    def _stands(self) -> None:
        wire = self._wire
        self.state = ConnectionState.IDLE
        wire.established += 1
        wire.opened += 1
        wire.dials.done()
        self._owner.opened(wire.now() - self._began)

    def _not_connected(self, code: int) -> None:
        addresses = self._addresses
        self._tries += 1
        # Another address does not help against a lack of descriptors, ports or memory of our own.
        if code not in OURS and self._tries < len(addresses):
            self._drop_socket()
            self._address = (self._address + 1) % len(addresses)
            self._connect()
            return
        if code in OURS:
            self._wire.lacking.add(code)
        self._fail(fault_of(Doing.CONNECT, OSError(code, "")))

    def move(self) -> None:
        """Let go of an idle connection that should go to another replica: the next request opens it there."""
        route = self._wire.route
        if route.replicas is None or self.state is not _IDLE:
            return
        if self._addresses[self._address] != route.addresses[route.first_address(self._turn)]:
            self.close()

    # One request and its response

    def send(self, request: bytes, *, head: bool = False, wants_body: bool = False) -> None:
        """Send a request. Only when idle. head: its method is HEAD. wants_body: keep the body of the response."""
        self._head = head
        self._wants_body = wants_body
        self.written = False
        self.state = _SENDING
        # At once, without asking the poller: a request nearly always fits into the socket's buffer, which saves a turn.
        try:
            sent = self._socket.send(request)  # type: ignore[union-attr]  # only when idle, so there is one
        except _BLOCKED:
            sent = 0
        except OSError as error:
            self._fail(self._judge(Doing.EXCHANGE, self._cause_of(error)))
            return
        if sent == len(request):
            self.written = True
            self.state = _RECEIVING
            return
        self._rest = memoryview(request)[sent:]
        # Reading too: a service may refuse a large body before it has all of it.
        self._wire.poller.change(self._fd, READ | WRITE)

    def _send_rest(self) -> None:
        assert self._socket is not None
        try:
            sent = self._socket.send(self._rest)
        except _BLOCKED:
            return
        except OSError:
            # The response may lie ready all the same: many services refuse a large body and close.
            self._receive()
            return
        self._rest = self._rest[sent:]
        if not self._rest:
            self.written = True
            self.state = ConnectionState.RECEIVING
            self._wire.poller.change(self._fd, READ)

    def _ready(self, events: int) -> None:
        state = self.state
        # The most frequent states first: each comparison is paid for by each request.
        if state is _RECEIVING:
            self._receive()
        elif state is _IDLE:
            self._look_at_idle()
        elif state is ConnectionState.SENDING:
            # A response may come before the request is sent: a refusal, which may also end the connection here.
            if events & ~WRITE:
                self._receive()
            if self.state is ConnectionState.SENDING and events & WRITE:
                self._send_rest()
        elif state is ConnectionState.DIALLING:
            self._continue_connect()
        elif state is ConnectionState.HANDSHAKE and self._wire.may_shake_hands():
            self._continue_handshake()

    def _receive(self) -> None:
        wire = self._wire
        made = self._socket
        try:
            data = made.recv(_RECEIVE)  # type: ignore[union-attr]  # only when open, so there is one
        except _BLOCKED:
            return
        except OSError as error:
            self._fail(self._judge(Doing.EXCHANGE, error))
            return
        # When the poller found the socket ready: a clock read here would add the time that other connections took before.
        at = wire.poller.at
        if wire.poller.rested and data:
            self._note_stall(at)
        answer = self._answer
        if not data:
            self._ended(answer, at)
        elif answer is not None:
            answer.read_at = at
            self._parse(answer, data, at, first=False)
        else:
            # Only now: a connection that waits for its response needs no parser, and ten thousand of them would be large.
            spare = wire.spare
            answer = spare.pop() if spare else wire.new_answer()
            if self._head or not wire.heads.recall(data, answer, at, wants_body=self._wants_body):
                answer.start(at, head=self._head, wants_body=self._wants_body)
                self._parse(answer, data, at, first=True)
            else:
                self._complete(answer, at)

    def _note_stall(self, at: float) -> None:
        """After a while without a turn: where bytes have lain ready meanwhile, the loop had not merely nothing to do."""
        assert self._socket is not None
        since = lay_ready_since(self._socket, at)
        if since is not None:
            self._wire.poller.stalls.add(since, at)

    def came_at(self) -> float | None:
        """When the last bytes came in, to a tick of the kernel's clock; None where that is not known."""
        age = None if self._socket is None else data_age(self._socket)
        return None if age is None else self._wire.now() - age

    def _parse(self, answer: Response, data: bytes, at: float, *, first: bool) -> None:
        """Hand the bytes to the response's parser, and those that OpenSSL has decrypted already: they make no socket
        readable."""
        wire, made = self._wire, self._socket
        while True:
            progress = answer.feed(data)
            if progress is ResponseState.COMPLETE:
                if first and wire.heads.worthwhile:
                    wire.heads.learn(data, answer)
                self._complete(answer, at)
                return
            # Kept until it is whole: from now on this connection has a parser of its own.
            self._answer, first = answer, False
            if progress is ResponseState.FAULTY:
                self._fail(ConnectionFault(outcome=Outcome.PROTOCOL, words=answer.fault))
                return
            if not (isinstance(made, ssl.SSLSocket) and made.pending()):
                return
            try:
                data = made.recv(_RECEIVE)
            except _BLOCKED:
                return
            except OSError as error:
                self._fail(self._judge(Doing.EXCHANGE, error))
                return
            at = answer.read_at = wire.now()
            if not data:
                self._ended(answer, at)
                return

    def _complete(self, answer: Response, at: float) -> None:
        self._answer = None
        made = self._socket
        reusable = answer.reusable and self.written and not (self._wire.secure and made.pending())  # type: ignore[union-attr]
        # Before the owner is called, since it may send the next request at once.
        if reusable:
            self.state = _IDLE
        else:
            self.close()
        self._owner.answered(answer, at)
        if answer.lent:
            return
        if answer.clean:
            # What waits for its next use must not keep the last one.
            answer.raw = []
            self._wire.spare.append(answer)
        else:
            answer.discard()

    def _ended(self, answer: Response | None, at: float) -> None:
        if answer is not None and answer.end() is ResponseState.COMPLETE:
            answer.finish()
            self._complete(answer, at)
        else:
            part = "without" if answer is None else "within"
            self._fail(ConnectionFault(outcome=Outcome.RESET, words=f"the service closed the connection {part} its response"))

    def still_idle(self) -> bool:
        """Whether nothing has come on the idle connection: neither its end nor bytes that answer no request.

        Asked before a request that may not be sent twice, since an end that has come may not have been looked at yet.
        """
        self._look_at_idle()
        return self.state is ConnectionState.IDLE

    def _look_at_idle(self) -> None:
        made = self._socket
        assert made is not None
        try:
            made.recv(1)
        except _BLOCKED:
            # TLS talks to itself now and then: session tickets, for example.
            if isinstance(made, ssl.SSLSocket):
                self._wire.route.remember(made, self._wire.now())
            return
        except OSError as error:
            self._judge(Doing.EXCHANGE, error)
        # The end, a reset, or bytes that answer no request: some services say 408 before they close.
        self.close()
        self._owner.hung_up()

    # Ending

    def close(self) -> None:
        """Release the socket, whatever it is doing; the owner is not notified. Harmless when closed."""
        state, self.state = self.state, ConnectionState.CLOSED
        if self._answer is not None:
            self._answer.discard()
            self._answer = None
        self._rest = memoryview(b"")
        # The last chance to take its session over to the next connection.
        if state >= ConnectionState.IDLE and isinstance(self._socket, ssl.SSLSocket):
            self._wire.route.remember(self._socket, self._wire.now())
        self._drop_socket()
        if state >= ConnectionState.IDLE:
            self._wire.established -= 1
        elif state in (ConnectionState.DIALLING, ConnectionState.HANDSHAKE):
            self._wire.dials.done()

    def _drop_socket(self) -> None:
        made, self._socket = self._socket, None
        if made is not None:
            self._wire.poller.remove(self._fd)
            made.close()

    def _fail(self, fault: ConnectionFault) -> None:
        # Taken before the connection is closed, which drops what had come.
        answer = self._answer
        early = answer is None
        self.fault, self.evidence = fault.words, b"".join(answer.raw) if answer is not None else b""
        self.close()
        self._owner.broken(fault.outcome, self._wire.now(), early=early)
