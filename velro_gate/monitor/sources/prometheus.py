"""The service's own metrics, in Prometheus text over HTTP."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import TypeVar

import httpx
import trio

from velro_gate.model.readings import plausible
from velro_gate.monitor.sources.exposition import parse
from velro_gate.monitor.sources.page_connection import PageConnection, PageNotReadError, PageRoute, PageTooLongError
from velro_gate.monitor.watching import SourceError
from velro_gate.units import format_count

T = TypeVar("T")

_SECONDS = 4.0
"""How long a metrics page may take, all of it."""
MOST_BYTES = 8 * 2**20
"""Bytes of a metrics page that are read; a large one has some hundred kilobytes."""
_MOST_LETTERS = 24
"""Of a bucket's bound: a float needs no more."""
_LABEL = re.compile(r"[A-Za-z0-9._-]{1,24}")
UNNAMED = "unnamed"
"""In place of a label that is no name: as with cache layers that a header names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric family to keep, and the name its readings get. Lines that get the same name are added up."""

    family: str
    name: str
    """May hold labels in braces, as in ``cache_{layer}_hits_total``: one reading for each value of the label, lines without the
    label left out.
    """
    wanted: tuple[tuple[str, str], ...] = ()
    """Labels that a line must have."""
    bounds: bool = False
    """The labels in the name are numbers and stay as they are, instead of names; lines with others are left out."""

    def reading_name(self, labels: Mapping[str, str]) -> str | None:
        """The reading's name for a line with these labels; None when it lacks a label, or has another value of one."""
        needed = _fields_of(self.name)
        if not needed <= labels.keys() or any(labels.get(label) != value for label, value in self.wanted):
            return None
        if self.bounds and not all(_is_bound(labels[label]) for label in needed):
            return None
        return self.name.format_map({label: labels[label] if self.bounds else _word(labels[label]) for label in needed})


@lru_cache(maxsize=256)
def _fields_of(name: str) -> frozenset[str]:
    """The labels in braces in a reading's name."""
    return frozenset(field for _, field, _, _ in Formatter().parse(name) if field)


def _word(label: str) -> str:
    """A label as a part of a name, unchanged: a secret that is spelt in another way could not be masked any more."""
    return label if _LABEL.fullmatch(label) else UNNAMED


def _is_bound(label: str) -> bool:
    try:
        bound = float(label) if len(label) <= _MOST_LETTERS else math.nan
    except ValueError:
        return False
    return bound == math.inf or plausible(bound) is not None


DEFAULT_FAMILIES = (
    Family(family="velro_db_pool_size", name="database_pool_size"),
    Family(family="velro_db_pool_in_use", name="database_pool_in_use"),
    Family(family="velro_db_pool_waiting", name="database_pool_waiting"),
    Family(family="velro_breaker_openings_total", name="breaker_{dependency}_openings_total"),
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
    """Reads one metrics page.

    It is asked for over a plain connection of its own (``page_connection``). Where that cannot read the response, or HTTP/2 is
    spoken, httpx asks.

    Args:
        route: the way to it; a transport of httpx's takes the place of any.
        name: the source of its readings.
        key: what distinguishes this page from others.
        optional: the page may lack all families, since nobody asked for them by name.
    """

    def __init__(
        self,
        url: str,
        *,
        families: Sequence[Family] = DEFAULT_FAMILIES,
        route: PageRoute | httpx.AsyncBaseTransport | None = None,
        name: str = "service",
        key: str = "metrics",
        optional: bool = False,
    ) -> None:
        self.name, self.key = name, key
        self._optional = optional
        self._url = url
        self._families = tuple(families)
        self._route = PageRoute() if route is None else route
        self._client: httpx.AsyncClient | None = None
        self._connection: PageConnection | None = None
        if isinstance(self._route, PageRoute) and not self._route.http2:
            self._connection = PageConnection(url, self._route, most=MOST_BYTES)
        self._limiter = trio.CapacityLimiter(1)

    async def read(self) -> Mapping[str, float]:
        """The families' values by their readings' names.

        Raises:
            SourceError: no response, not the expected text, or none of the families in it unless they are optional.
        """
        try:
            values = await self._read()
            if not values and not self._optional:
                raise SourceError("has none of " + ", ".join(family.family for family in self._families))
        except SourceError as error:
            # Not the service: its processes may be watched all the same.
            raise SourceError(
                str(error), of="metrics page" if self.name == "service" else "metrics page with own metrics"
            ) from error
        return values

    async def _read(self) -> Mapping[str, float]:
        try:
            with trio.fail_after(_SECONDS):
                if self._connection is not None:
                    try:
                        return await self._in_thread(self._got, self._connection)
                    except PageNotReadError:
                        # From now on by httpx, whose parser is more lenient.
                        self._connection = None
                page, coding = await self._asked_by_httpx()
        except (httpx.HTTPError, OSError, trio.TooSlowError) as error:
            raise SourceError(f"does not answer ({type(error).__name__})") from error
        # In a thread: parsing some hundred kilobytes would stop the load for longer than its limits allow.
        return await self._in_thread(self._collected, page, coding)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(function, *arguments, limiter=self._limiter, abandon_on_cancel=True)

    def _got(self, connection: PageConnection) -> Mapping[str, float]:
        """All of it in one thread: each change between threads is some more that is cold."""
        try:
            page = connection.get(_SECONDS)
        except PageTooLongError as error:
            raise _too_long() from error
        if page.status != httpx.codes.OK:
            raise SourceError(f"answers {page.status}")
        return self._collected(page.body, page.coding)

    def _collected(self, page: bytes, coding: str) -> Mapping[str, float]:
        unpacked = page if coding in ("", "identity") else _unpacked(page, coding)
        try:
            return collect(unpacked.decode("utf-8", "replace"), self._families)
        except ValueError as error:
            raise SourceError(f"is not Prometheus text: {error}") from error

    async def _asked_by_httpx(self) -> tuple[bytes, str]:
        """The page and how it is packed, whatever the service sends: never more of it than MOST_BYTES.

        Raises:
            SourceError: another status, or it is longer.
        """
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=_SECONDS,
                trust_env=False,
                transport=self._route.transport() if isinstance(self._route, PageRoute) else self._route,
                headers={"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"},
            )
        async with self._client.stream("GET", self._url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise SourceError(f"answers {answer.status_code}")
            if answer.is_stream_consumed:  # its transport had it at once
                return answer.content, ""
            page = bytearray()
            async for piece in answer.aiter_raw():
                page += piece
                if len(page) > MOST_BYTES:
                    raise _too_long()
            return bytes(page), answer.headers.get("content-encoding", "identity").strip().lower()

    async def aclose(self) -> None:
        """Close the connection; one that a thread still reads is closed by its own deadline."""
        if self._connection is not None:
            self._connection.close()
        if self._client is not None:
            await self._client.aclose()


def _too_long() -> SourceError:
    return SourceError(f"is longer than {format_count(MOST_BYTES)} bytes")


def _unpacked(page: bytes, coding: str) -> bytes:
    window = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}.get(coding)
    if window is None:
        raise SourceError("is packed in a way that was not asked for")
    try:
        found = zlib.decompressobj(window).decompress(page, MOST_BYTES + 1)
    except zlib.error as error:
        raise SourceError("cannot be unpacked") from error
    if len(found) > MOST_BYTES:
        raise _too_long()
    return found


def collect(text: str, families: Sequence[Family]) -> dict[str, float]:
    """Readings by name from a metrics page.

    Raises:
        ValueError: a line of a wanted family breaks the format.
    """
    known: dict[str, list[Family]] = {}
    for family in families:
        known.setdefault(family.family, []).append(family)
    values: dict[str, float] = {}
    for sample in parse(text, known.keys()):
        for family in known[sample.family]:
            name = family.reading_name(sample.labels)
            if name is not None:
                values[name] = values.get(name, 0.0) + sample.value
    return values
