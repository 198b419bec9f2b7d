"""Pushes a run's figures to a Prometheus Pushgateway or to a remote-write endpoint. The verdict is there already, and stays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from urllib.parse import unquote, urlsplit

import httpx

from velro_gate import __version__
from velro_gate.errors import PublishError, RecordError, UsageError
from velro_gate.gate.judge.given import given_report
from velro_gate.github.clock import Clock
from velro_gate.github.delivery import deliver, host_of, is_http
from velro_gate.report.formats.openmetrics import CLASSIC_TYPE, classic, group_path, openmetrics
from velro_gate.report.formats.registry import FORMATS
from velro_gate.report.formats.remote_write import HEADERS, remote_write
from velro_gate.report.text.escape import visible
from velro_gate.secrecy import hide, outgoing
from velro_gate.store.records import read_record

if TYPE_CHECKING:
    from velro_gate.model.record import Plan, RunRecord
    from velro_gate.model.verdict import Verdict

PUSH_TOKEN, REMOTE_WRITE_TOKEN = "VELRO_PUSH_TOKEN", "VELRO_REMOTE_WRITE_TOKEN"
"""Variables with a token for each kind of server."""
_STANDS = "The verdict is not affected, and openmetrics.txt holds the figures."


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is pushed of one run. text: OpenMetrics."""

    text: str
    scenario: str
    profile: str


def kept_figures(run: Path) -> Figures:
    """The figures of a kept run, with the verdict that was given to it.

    Raises:
        RecordError: there is no such run, or it was not judged.
    """
    text = given_report(run, FORMATS["openmetrics"].file)
    return _outgoing(text, read_record(run if run.is_dir() else run.parent).plan)


def figures_to_push(record: RunRecord, verdict: Verdict | None) -> Figures:
    """The figures of a run. verdict: None: nobody has judged it."""
    return _outgoing(openmetrics(record, verdict), record.plan)


def _outgoing(text: str, plan: Plan) -> Figures:
    scenario, profile = (outgoing(visible(name)) for name in (plan.scenario, plan.profile))
    return Figures(text=outgoing(text), scenario=scenario, profile=profile)


class _PushRequest(NamedTuple):
    """One request to a server."""

    method: str
    address: str
    content: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTarget(ABC):
    """A server that takes figures. url: with user and password where it asks for them; shown nowhere but for the host."""

    url: str = field(repr=False)
    token: str = field(default="", repr=False)
    """Sent as a bearer token; empty: none is."""
    clock: Clock = field(default_factory=Clock)
    transport: httpx.BaseTransport | None = None

    name: ClassVar[str]
    """What messages call it."""
    variable: ClassVar[str]
    """Holds its token."""
    address_hint: ClassVar[str]
    """The hint for an address that cannot be used."""
    advice: ClassVar[str]
    """What follows 'Check the address' where a push fails."""
    has_query: ClassVar[bool]
    """Whether its address may have one."""

    def __post_init__(self) -> None:
        # is_http first: urlsplit raises for a malformed address.
        if not is_http(self.url) or urlsplit(self.url).fragment or (urlsplit(self.url).query and not self.has_query):
            raise UsageError(f"the address of the {self.name} cannot be used", hint=self.address_hint)
        _check_secrets(self.url, self.token, self.variable)

    def push(self, figures: Figures) -> str:
        """Push them; the host that took them.

        Raises:
            PublishError: it refused them, or nobody answered. RecordError: they are no OpenMetrics.
        """
        # Made once for all tries: a sample that did arrive is not written twice.
        try:
            request = self._request(figures)
        except (ValueError, KeyError, IndexError) as error:
            raise RecordError("the run's OpenMetrics text cannot be read", why=str(error)) from error
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers = {"User-Agent": f"velro-gate/{__version__}", **request.headers, **bearer}
        why = deliver(
            request.method, request.address, request.content, lambda: headers, clock=self.clock, transport=self.transport
        )
        if why is not None:
            hint = f"{_STANDS} Check the address{self.advice}."
            raise PublishError(f"the {self.name} did not accept the figures", where=host_of(self.url), why=why, hint=hint)
        return host_of(self.url)

    @abstractmethod
    def _request(self, figures: Figures) -> _PushRequest:
        """Raises: ValueError, KeyError, IndexError: they are no OpenMetrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushgateway(PushTarget):
    """One Pushgateway, by its address up to the path: what it keeps of the scenario and profile is replaced."""

    name = "Pushgateway"
    variable = PUSH_TOKEN
    address_hint = "Write it as http://HOST:9091, with a path where a proxy adds one."
    advice = ": --push http://HOST:9091"
    has_query = False

    def _request(self, figures: Figures) -> _PushRequest:
        address = f"{self.url.rstrip('/')}{group_path(figures.scenario, figures.profile)}"
        return _PushRequest("PUT", address, classic(figures.text).encode(), {"Content-Type": CLASSIC_TYPE})


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteWrite(PushTarget):
    """One remote-write endpoint: each figure is a sample of the moment of the push. The address is whole."""

    name = "remote-write endpoint"
    variable = REMOTE_WRITE_TOKEN
    address_hint = "Write it whole, such as http://HOST:9090/api/v1/write."
    advice = "; a Prometheus takes remote-write with --web.enable-remote-write-receiver"
    has_query = True

    def _request(self, figures: Figures) -> _PushRequest:
        return _PushRequest("POST", self.url, remote_write(figures.text, int(self.clock.now() * 1000.0)), HEADERS)


def push_targets(push: str | None, remote: str | None, secrets: Mapping[str, str]) -> tuple[PushTarget, ...]:
    """The servers at these addresses. secrets: variables, among them the tokens. What is secret is masked from now on.

    Raises:
        UsageError: an address or a token cannot be one.
    """
    gateway, writer = (secrets.get(name, "").strip() for name in (PUSH_TOKEN, REMOTE_WRITE_TOKEN))
    passwords = [unquote(word) for word in map(_password, filter(None, (push, remote))) if word]
    hide([text for text in (gateway, writer, *passwords) if text], certain=True)
    targets: list[PushTarget] = []
    if push is not None:
        targets.append(Pushgateway(url=push, token=gateway))
    if remote is not None:
        targets.append(RemoteWrite(url=remote, token=writer))
    return tuple(targets)


def push_all(figures: Figures, targets: Sequence[PushTarget], say: Callable[[str], None]) -> None:
    """Push to each of them. What goes wrong is said, and changes nothing else."""
    for target in targets:
        try:
            say(f"pushed to {target.push(figures)}")
        except (PublishError, RecordError) as error:
            for line in error.lines("not pushed"):
                say(line)


def _check_secrets(url: str, token: str, variable: str) -> None:
    """Refuse what httpx would quote in an error of its own, and two ways to say who we are."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError(
            "the token for pushed figures is malformed",
            where=variable,
            why="it contains spaces, line breaks or characters that no token has",
            hint="Store the secret again, without what was copied with it by mistake.",
        )
    if token and "@" in urlsplit(url).netloc:
        raise UsageError(
            "a token and a user in the address contradict each other", where=variable, hint="Leave one of them out."
        )


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
