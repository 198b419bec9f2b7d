"""How TLS is spoken with the service: one maker of contexts for everything that connects to it, and its faults in words."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass

from velro_gate.errors import UsageError
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import Target

WAIVE = "set 'verify_tls: false' in the scenario's target"


def client_context(target: Target) -> ssl.SSLContext:
    """Whom we trust and what we show of ourselves: the same for the health check, the monitor and the load.

    Raises:
        UsageError: a certificate file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=target.ca_file)
    except OSError as error:  # ssl.SSLError is one
        keys = os.environ.get("SSLKEYLOGFILE")
        if target.ca_file is None and keys:
            where, hint = f"SSLKEYLOGFILE={keys}", "Unset the variable, or name a file that this user may write."
            raise UsageError("the keys of TLS cannot be logged", where=where, why=error.strerror, hint=hint) from error
        raise UsageError("the file of authorities cannot be used", where=target.ca_file, why=str(error)) from error
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if target.client_certificate is not None:
        try:
            # A password of nothing, so that an encrypted key is an error and no question on the terminal.
            context.load_cert_chain(target.client_certificate, target.client_key, "")
        except OSError as error:
            raise UsageError(
                "the client certificate cannot be used", where=target.client_certificate, why=str(error)
            ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFault:
    """Why a TLS connection failed."""

    outcome: Outcome
    """CERTIFICATE where one side does not accept the other's, else TLS."""
    words: str
    hint: str


def tls_fault(error: OSError) -> TlsFault:
    """What an error of a TLS connection means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error)
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return TlsFault(outcome=Outcome.TLS, words="the service closed the connection during the handshake", hint=_PLAIN)
    reason = error.reason or ""
    if reason in _OUR_CERTIFICATE:
        return TlsFault(outcome=Outcome.CERTIFICATE, words=_OUR_CERTIFICATE[reason], hint=_SHOW)
    return TlsFault(outcome=Outcome.TLS, words=_REASONS.get(reason) or _spelled(reason) or str(error), hint=_PLAIN)


def _untrusted(error: ssl.SSLCertVerificationError) -> TlsFault:
    code, said = error.verify_code, error.verify_message or str(error)
    words, hint = _THEIR_CERTIFICATE.get(code, (f"the service's certificate is not accepted: {said}", _FIX))
    if code in (62, 64):
        words = f"{words} ({said.rstrip('.')})"
    return TlsFault(outcome=Outcome.CERTIFICATE, words=words, hint=hint)


def _spelled(reason: str) -> str:
    return reason.replace("_", " ").lower()


_PLAIN = "If the service speaks plain HTTP on this port, write http:// instead of https://."
_FIX = f"Fix the service's certificate, or {WAIVE}."
_NAME_ISSUER = f"Name the issuer's certificates as target.ca_file (or in SSL_CERT_FILE), or {WAIVE}."
_SHOW = "Name a certificate that the service accepts as target.client_certificate, and its key as target.client_key."

# The numbers are OpenSSL's X509_V_ERR codes (x509_vfy.h).
_THEIR_CERTIFICATE = {
    9: ("the service's certificate is not valid yet", _FIX),
    10: ("the service's certificate has expired", _FIX),
    18: ("the service's certificate is self-signed", _NAME_ISSUER),
    19: ("the service's certificate comes from an unknown issuer", _NAME_ISSUER),
    20: ("the service's certificate comes from an unknown issuer", _NAME_ISSUER),
    21: ("the service's certificate comes from an unknown issuer", _NAME_ISSUER),
    23: ("the service's certificate is revoked", _FIX),
    62: ("the service's certificate is for another host", f"Use a host in the URL that it was issued for, or {WAIVE}."),
    64: ("the service's certificate is for another host", f"Use a host in the URL that it was issued for, or {WAIVE}."),
}
_OUR_CERTIFICATE = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the service asks for a client certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the service does not know the issuer of our client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the service refuses our client certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the service says that our client certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the service says that our client certificate is revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the service refuses our client certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "the service cannot use our client certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "the service does not accept our client certificate",
}
_REASONS = dict.fromkeys(
    ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"),
    "what answers there does not speak TLS",
) | {
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the service refuses the handshake; it may ask for a client certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the service supports no TLS version that we do",
    "UNSUPPORTED_PROTOCOL": "the service supports no TLS version that we do",
}
