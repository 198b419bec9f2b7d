"""The service's own metrics, in Prometheus text over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

import httpx
import trio

from velro_gate.monitor.exposition import parse
from velro_gate.monitor.watching import SourceError

_SECONDS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric family to keep, and the name its readings get.

    name may hold labels in braces, as in ``cache_{layer}_hits_total``: one reading for each value of the label, lines without
    the label left out. Lines that come to the same name are added up.
    """

    family: str
    name: str

    def reading_name(self, labels: Mapping[str, str]) -> str | None:
        """The reading's name for a line with these labels; None when a label that the name needs is missing."""
        needed = {field for _, field, _, _ in Formatter().parse(self.name) if field}
        if not needed <= labels.keys():
            return None
        return self.name.format_map({label: re.sub(r"\W", "_", labels[label]) for label in needed})


DEFAULT_FAMILIES = (
    Family(family="velro_db_pool_size", name="database_pool_size"),
    Family(family="velro_db_pool_in_use", name="database_pool_in_use"),
    Family(family="velro_cache_hits_total", name="cache_{layer}_hits_total"),
    Family(family="velro_cache_misses_total", name="cache_{layer}_misses_total"),
)
"""What the Velro backend says of itself."""

PROCESS_FAMILIES = (
    Family(family="process_cpu_seconds_total", name="cpu_seconds"),
    Family(family="process_resident_memory_bytes", name="rss"),
    Family(family="process_open_fds", name="descriptors"),
)
"""What the usual client libraries say of their process: for a service on another machine, where nothing else can be seen."""


class PrometheusText:
    """Reads one metrics page."""

    name = "service"

    def __init__(
        self,
        url: str,
        *,
        families: Sequence[Family] = DEFAULT_FAMILIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._families = tuple(families)
        self._client = httpx.AsyncClient(
            timeout=_SECONDS,
            trust_env=False,
            transport=transport,
            headers={"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"},
        )
        self._limiter = trio.CapacityLimiter(1)

    async def read(self) -> Mapping[str, float]:
        """The families' values by their readings' names.

        Raises:
            SourceError: no answer, not the expected text, or none of the families in it.
        """
        try:
            answer = await self._client.get(self._url)
        except httpx.HTTPError as error:
            raise SourceError(f"its metrics page does not answer ({type(error).__name__})") from error
        if answer.status_code != httpx.codes.OK:
            raise SourceError(f"its metrics page answers {answer.status_code}")
        try:
            values = await trio.to_thread.run_sync(
                collect, answer.text, self._families, limiter=self._limiter, abandon_on_cancel=True
            )
        except ValueError as error:
            raise SourceError(f"its metrics page is not Prometheus text: {error}") from error
        if not values:
            raise SourceError("its metrics page has none of " + ", ".join(family.family for family in self._families))
        return values

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()


def collect(text: str, families: Sequence[Family]) -> dict[str, float]:
    """Readings by name from a metrics page.

    Raises:
        ValueError: a line of a wanted family breaks the format.
    """
    known = {family.family: family for family in families}
    values: dict[str, float] = {}
    for sample in parse(text, known.keys()):
        name = known[sample.family].reading_name(sample.labels)
        if name is not None:
            values[name] = values.get(name, 0.0) + sample.value
    return values
