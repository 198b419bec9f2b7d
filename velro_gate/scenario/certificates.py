"""Whether the certificate files that a scenario names are there and fit for use, asked before anything is sent."""

from __future__ import annotations

import ssl
from pathlib import Path

from velro_gate.scenario.syntax.templates import Report

_PEM = "a PEM file holds blocks that begin with '-----BEGIN CERTIFICATE-----'"


def check_authorities(path: Path, report: Report) -> None:
    """Reports when the file does not hold certificates of authorities."""
    if not _readable(path, "ca_file", report):
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        report(f"{path} holds no certificate that can be read", _PEM)


def check_client_certificate(certificate: Path, key: Path | None, report: Report, report_key: Report) -> None:
    """Reports when certificate and key cannot be used together. The key may stand in the certificate's file."""
    there = [_readable(certificate, "client_certificate", report)]
    if key is not None:
        there.append(_readable(key, "client_key", report_key))
    if not all(there):
        return
    asked_for_password = False

    def no_password() -> str:
        """Called by OpenSSL for an encrypted key: without an answer it would ask at the terminal."""
        nonlocal asked_for_password
        asked_for_password = True
        return ""

    try:
        # OpenSSL itself decides, by the call that the load makes later; what it says is too terse to show, so its cause is
        # looked for.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        place = report if key is None else report_key
        if asked_for_password:
            place(f"the key in {key or certificate} is encrypted", "'openssl pkey -in KEY -out PLAIN' writes one that is not")
        elif error.reason == "KEY_VALUES_MISMATCH":
            place(f"the key in {key or certificate} does not belong to the certificate in {certificate}", None)
        elif not _holds_certificate(certificate):
            report(f"{certificate} holds no certificate that can be read", _PEM)
        elif key is None:
            report(f"{certificate} holds no private key", "name the key's file as client_key")
        else:
            place(f"{key} holds no private key that can be read", None)


def _holds_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True


def _readable(path: Path, key: str, report: Report) -> bool:
    try:
        with path.open("rb"):
            return True
    except FileNotFoundError:
        report(f"target.{key}: there is no file {path}", "file names are relative to the scenario's folder")
    except OSError as error:
        report(f"target.{key}: {path} cannot be read: {error.strerror}", None)
    return False
