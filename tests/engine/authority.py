"""An authority of the tests' own, its certificates, and them as files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass
class Authority:
    """Vouches for 127.0.0.1. folder: where its files are written."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    def server(self, name: str = "127.0.0.1", *, expired: bool = False, asks_client: bool = False) -> ssl.SSLContext:
        """A server's context, whose certificate is for ``name``."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        until = datetime.now(UTC) - timedelta(days=1) if expired else None
        self.ca.issue_cert(name, not_after=until).configure_cert(context)
        if asks_client:
            context.verify_mode = ssl.CERT_REQUIRED
            self.ca.configure_trust(context)
        return context

    def file(self) -> str:
        """The authority's certificate."""
        path = self.folder / "authority.pem"
        self.ca.cert_pem.write_to_path(str(path))
        return str(path)

    def client(self, *, name: str = "client") -> tuple[str, str]:
        """A client's certificate and key."""
        made = self.ca.issue_cert(f"{name}@velro.test")
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        made.cert_chain_pems[0].write_to_path(str(certificate))
        made.private_key_pem.write_to_path(str(key))
        return str(certificate), str(key)
