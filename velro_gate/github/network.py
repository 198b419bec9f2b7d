"""The variables by which a machine says how it reaches the network: proxies, and the authorities that TLS trusts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from velro_gate.errors import UsageError

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_SCHEMES = frozenset({"http", "https"})


def readable_no_proxy(environ: MutableMapping[str, str]) -> None:
    """Write NO_PROXY in the form that everything here reads: ``[::1]`` becomes ``::1``, and what is not a host is left out."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host.strip() for host in environ.get(name, "").split(",")]
        bare = [host[1:-1] if host.startswith("[") and host.endswith("]") else host for host in hosts]
        if name in environ:
            environ[name] = ",".join(host for host in bare if host.isascii() and not set(host) & set("[] "))


@contextmanager
def network_variables_in_words(environ: Mapping[str, str]) -> Iterator[None]:
    """Whatever a client of HTTP cannot make of these variables becomes an error that names the variable.

    Raises:
        UsageError: a proxy or a file of authorities cannot be used. Its value is not shown: it may hold a password.
    """
    try:
        yield
    except OSError as error:
        keys = environ.get("SSLKEYLOGFILE", "")
        # The error names no file where it comes from OpenSSL: then the one that cannot be written is at fault.
        name = "SSLKEYLOGFILE" if keys and error.filename in (None, keys) and not os.access(keys, os.W_OK) else "SSL_CERT_FILE"
        hint = "Name a file of certificates in PEM form, or unset it." if name == "SSL_CERT_FILE" else "Unset it."
        why = error.strerror or str(error)
        raise UsageError(
            f"the variable {name} cannot be used", where=f"{name}={environ.get(name, '')}", why=why, hint=hint
        ) from error
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        names = [name for each in _PROXIES for name in (each, each.lower())]
        wrong = [name for name in names if environ.get(name) and not _usable(environ[name])]
        named = ", ".join(wrong) or "one of the variables HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY"
        raise UsageError(
            f"the proxy in {named} cannot be used",
            why=f"{type(error).__name__}: only proxies with http:// or https:// are supported",
            hint="Name such a proxy, or unset the variable for this job.",
        ) from error


def _usable(proxy: str) -> bool:
    try:
        return (urlsplit(proxy).scheme if "://" in proxy else "http") in _SCHEMES
    except ValueError:
        return False
