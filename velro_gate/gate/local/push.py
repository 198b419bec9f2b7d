"""Pushes the figures of a kept run to a Prometheus Pushgateway. The verdict is there already, and stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from velro_gate import __version__
from velro_gate.errors import PublishError, RecordError, UsageError
from velro_gate.gate.judge.given import given_report
from velro_gate.github.clock import Clock
from velro_gate.github.delivery import deliver, host_of, is_http
from velro_gate.report.formats.openmetrics import CLASSIC_TYPE, classic, group_path
from velro_gate.report.formats.registry import FORMATS
from velro_gate.report.text.escape import visible
from velro_gate.store.records import read_record

VARIABLE = "VELRO_PUSH_TOKEN"
"""Holds a token for a Pushgateway behind a proxy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushgateway:
    """One Pushgateway."""

    url: str = field(repr=False)
    """Its URL up to the path, with user and password where it asks for them; only the host is ever shown."""
    token: str = field(default="", repr=False)
    """Sent as a bearer token; empty: none is."""
    clock: Clock = field(default_factory=Clock)
    transport: httpx.BaseTransport | None = None

    def __post_init__(self) -> None:
        if not is_http(self.url) or urlsplit(self.url).query or urlsplit(self.url).fragment:
            raise UsageError(
                "the address of the Pushgateway is not an http address",
                hint="Write it as http://HOST:9091, with a path where a proxy adds one.",
            )

    def push(self, run: Path) -> str:
        """Replace what it keeps of this scenario and profile by the figures of a kept run; the host that took them.

        Raises:
            RecordError: there is no such run, or it was not judged. PublishError: it was refused, or nobody answered.
        """
        text = given_report(run, FORMATS["openmetrics"].file)
        record = read_record(run if run.is_dir() else run.parent)
        try:
            content = classic(text).encode()
        except (ValueError, KeyError, IndexError) as error:
            raise RecordError("the run's OpenMetrics text cannot be read", where=str(run), why=str(error)) from error
        path = group_path(visible(record.plan.scenario), visible(record.plan.profile))
        headers = {"Content-Type": CLASSIC_TYPE, "User-Agent": f"velro-gate/{__version__}"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        address = f"{self.url.rstrip('/')}{path}"
        why = deliver("PUT", address, content, lambda: headers, clock=self.clock, transport=self.transport)
        if why is not None:
            raise PublishError(
                "the Pushgateway did not take the figures",
                where=host_of(self.url),
                why=why,
                hint="The verdict stands, and openmetrics.txt holds the figures. Check the address: --push http://HOST:9091.",
            )
        return host_of(self.url)
