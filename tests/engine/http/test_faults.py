"""What an error of a socket means depends on what the connection was doing, and is said in words."""

from __future__ import annotations

import errno
import ssl

import pytest

from velro_gate.engine.http.faults import ConnectionFault, Doing, fault_of
from velro_gate.model.samples import Outcome

REFUSED_CERTIFICATE = "the service refuses our client certificate"


def of_errno(code: int) -> OSError:
    return OSError(code, "as the system says")


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "as OpenSSL says")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("doing", "error", "outcome", "words"),
    [
        (Doing.CONNECT, of_errno(errno.ECONNREFUSED), Outcome.REFUSED, "no connection: connection refused"),
        (Doing.CONNECT, of_errno(errno.ENETUNREACH), Outcome.REFUSED, "no connection: network is unreachable"),
        (Doing.CONNECT, of_errno(errno.ETIMEDOUT), Outcome.TIMEOUT, "no connection: connection timed out"),
        (Doing.CONNECT, of_errno(errno.ECONNRESET), Outcome.RESET, "no connection: connection reset by peer"),
        (Doing.CONNECT, of_errno(errno.EMFILE), None, "no connection: too many open files"),
        (Doing.HANDSHAKE, of_errno(errno.EPIPE), Outcome.RESET, "the service closed the connection during the TLS handshake"),
        (Doing.HANDSHAKE, of_errno(errno.ETIMEDOUT), Outcome.TLS, "the service closed the connection during the handshake"),
        (Doing.HANDSHAKE, ssl.SSLEOFError(8, "EOF"), Outcome.TLS, "the service closed the connection during the handshake"),
        (Doing.HANDSHAKE, alert("SSLV3_ALERT_BAD_CERTIFICATE"), Outcome.CERTIFICATE, REFUSED_CERTIFICATE),
        (Doing.EXCHANGE, alert("SSLV3_ALERT_BAD_CERTIFICATE"), Outcome.CERTIFICATE, REFUSED_CERTIFICATE),
        (Doing.EXCHANGE, alert("BAD_LENGTH"), Outcome.TLS, "bad length"),
        (Doing.EXCHANGE, of_errno(errno.ECONNRESET), Outcome.RESET, "the service reset the connection"),
        (Doing.EXCHANGE, of_errno(errno.ETIMEDOUT), Outcome.RESET, "the connection was lost: as the system says"),
        (Doing.EXCHANGE, of_errno(errno.ENOBUFS), Outcome.RESET, "the connection was lost: as the system says"),
        (Doing.EXCHANGE, ssl.SSLZeroReturnError(6, "closed"), Outcome.RESET, "the connection was lost: closed"),
    ],
)
def test_an_error_has_an_outcome_and_words(doing: Doing, error: OSError, outcome: Outcome | None, words: str) -> None:
    assert fault_of(doing, error) == ConnectionFault(outcome=outcome, words=words)


@pytest.mark.parametrize("doing", Doing)
@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_error_of_the_system_has_an_outcome_whatever_the_connection_does(doing: Doing, code: int) -> None:
    assert fault_of(doing, of_errno(code)).words
