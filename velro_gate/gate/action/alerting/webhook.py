"""Sends a message to a webhook: signed, tried again where that may help, and never a reason to change a verdict.

The address is a secret, since whoever knows it can write there: no error and no line shows more of it than the host.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

import httpx

from velro_gate import __version__
from velro_gate.errors import PublishError, UsageError
from velro_gate.github.clock import Clock
from velro_gate.github.delivery import deliver, host_of, is_http
from velro_gate.report.alerts.messages import MessageFormat

SIGNATURE, TIMESTAMP = "X-Velro-Signature-256", "X-Velro-Timestamp"
_SLACK = ("hooks.slack.com", "hooks.slack-gov.com")
_TEAMS = (".webhook.office.com", ".logic.azure.com", ".powerplatform.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook."""

    url: str = field(repr=False)
    key: str = field(default="", repr=False)
    """Key of the signature; empty: messages are not signed."""
    format: MessageFormat | None = None
    """None: chosen by the address."""
    clock: Clock = field(default_factory=Clock)
    transport: httpx.BaseTransport | None = None

    def __post_init__(self) -> None:
        if not is_http(self.url):
            raise UsageError("the input webhook-url is not an http address", hint="Store the address again as a secret.")

    @property
    def host(self) -> str:
        """All of the address that may be shown."""
        return host_of(self.url)

    @property
    def wanted(self) -> MessageFormat:
        """What the other side understands."""
        if self.format is not None:
            return self.format
        if self.host in _SLACK:
            return MessageFormat.SLACK
        return MessageFormat.TEAMS if self.host.endswith(_TEAMS) else MessageFormat.JSON

    def send(self, body: str) -> None:
        """Deliver a message.

        Raises:
            PublishError: it was refused, or nobody answered.
        """
        content = body.encode()
        why = deliver("POST", self.url, content, lambda: self._headers(content), clock=self.clock, transport=self.transport)
        if why is not None:
            raise PublishError(
                "the webhook did not accept the message",
                where=self.host,
                why=why,
                hint="The verdict is not affected. Check the address and what the receiver expects (webhook-format).",
            )

    def _headers(self, content: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": f"velro-gate/{__version__}"}
        if self.key:
            # The time is signed as well, so that an old message cannot be sent again.
            at = str(int(self.clock.now()))
            signed = hmac.new(self.key.encode(), f"{at}.".encode() + content, hashlib.sha256).hexdigest()
            headers |= {TIMESTAMP: at, SIGNATURE: f"sha256={signed}"}
        return headers
