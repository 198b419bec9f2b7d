"""What an error of a socket means: one table, by what the connection was doing and by the kind of the error."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from velro_gate.engine.http.tls import tls_fault
from velro_gate.model.samples import Outcome

OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""Codes that say that this machine has nothing left, not that the service fails."""

_RESET = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})


class Doing(Enum):
    """What a connection was doing when the error came."""

    CONNECT = auto()
    HANDSHAKE = auto()
    EXCHANGE = auto()


class _Kind(Enum):
    """The properties that distinguish one error from another."""

    TLS = auto()
    OURS = auto()
    TIMEOUT = auto()
    RESET = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFault:
    """Why a connection failed."""

    outcome: Outcome | None
    """None: this machine had no descriptor, port or memory left for it."""
    words: str


def fault_of(doing: Doing, error: OSError) -> ConnectionFault:
    """What this error means."""
    kind = _kind(error)
    return (_FAULTS.get((doing, kind)) or _FAULTS[doing, _Kind.OTHER])(error)


def _kind(error: OSError) -> _Kind:
    if isinstance(error, ssl.SSLError):
        # Where the peer merely closed, TLS says nothing that TCP does not. The numbers of these errors are not those of errno.
        return _Kind.OTHER if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) else _Kind.TLS
    if error.errno in OURS:
        return _Kind.OURS
    if error.errno == errno.ETIMEDOUT:
        return _Kind.TIMEOUT
    return _Kind.RESET if error.errno in _RESET else _Kind.OTHER


def _said(outcome: Outcome, words: str) -> Callable[[OSError], ConnectionFault]:
    return lambda _: ConnectionFault(outcome=outcome, words=words)


def _not_connected(outcome: Outcome | None) -> Callable[[OSError], ConnectionFault]:
    return lambda error: ConnectionFault(
        outcome=outcome, words=f"no connection: {os.strerror(error.errno or errno.EIO).lower()}"
    )


def _of_tls(error: OSError) -> ConnectionFault:
    found = tls_fault(error)
    return ConnectionFault(outcome=found.outcome, words=found.words)


def _lost(error: OSError) -> ConnectionFault:
    return ConnectionFault(outcome=Outcome.RESET, words=f"the connection was lost: {error.strerror or error}")


_FAULTS: dict[tuple[Doing, _Kind], Callable[[OSError], ConnectionFault]] = {
    (Doing.CONNECT, _Kind.OURS): _not_connected(None),
    (Doing.CONNECT, _Kind.TIMEOUT): _not_connected(Outcome.TIMEOUT),
    (Doing.CONNECT, _Kind.RESET): _not_connected(Outcome.RESET),
    (Doing.CONNECT, _Kind.OTHER): _not_connected(Outcome.REFUSED),
    # A peer that does not speak TLS often just closes.
    (Doing.HANDSHAKE, _Kind.RESET): _said(Outcome.RESET, "the service closed the connection during the TLS handshake"),
    (Doing.HANDSHAKE, _Kind.OTHER): _of_tls,
    # With TLS 1.3 a client certificate is refused only now.
    (Doing.EXCHANGE, _Kind.TLS): _of_tls,
    (Doing.EXCHANGE, _Kind.RESET): _said(Outcome.RESET, "the service reset the connection"),
    (Doing.EXCHANGE, _Kind.OTHER): _lost,
}
"""What is not named counts as OTHER."""
