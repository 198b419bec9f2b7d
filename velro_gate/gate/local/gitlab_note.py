"""The note on a merge request of GitLab: one for each scenario, found by its marker and its author, changed in place.

A try that fails begins again with the list of notes, so a note that was written though nobody said so is not written twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from velro_gate import __version__
from velro_gate.errors import PublishError, UsageError
from velro_gate.github.clock import Clock
from velro_gate.github.delivery import LONGEST_WAIT, TIMEOUT, TRIES, host_of, is_http, whole_body
from velro_gate.github.retrying import pause
from velro_gate.hardening import GITLAB as TOKEN
from velro_gate.secrecy import hide, outgoing

LONGEST = 1_000_000
"""Characters that GitLab takes."""
LARGEST = 150_000_000
"""Bytes of one response: more than a page of notes can have."""
_NEEDED = ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_MERGE_REQUEST_IID")
_HEADS = ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_COMMIT_SHA")
_PAGES = 50
_HINT = (
    f"The verdict is not affected. {TOKEN} has to be a project access token with the scope api and at least the role Reporter."
)


class _AgainError(Exception):
    """A try that failed in a way that may pass. headers: of the response, which may say when."""

    def __init__(self, why: str, headers: httpx.Headers) -> None:
        super().__init__(why)
        self.headers = headers


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """One merge request. heads: commits of which one has to be its head still; none: any may be."""

    api: str
    project: str
    number: str
    token: str = field(repr=False)
    heads: frozenset[str] = frozenset()
    clock: Clock = field(default_factory=Clock)
    transport: httpx.BaseTransport | None = None

    def upsert(self, text: str) -> str:
        """Write the note, or change the one that an earlier run has written; what became of it. text: begins with its marker.

        Raises:
            PublishError: GitLab refused it, or did not answer.
        """
        why = ""
        headers = {"PRIVATE-TOKEN": self.token, "User-Agent": f"velro-gate/{__version__}"}
        with httpx.Client(timeout=TIMEOUT, headers=headers, transport=self.transport) as client:
            for attempt in range(1, TRIES + 1):
                try:
                    return self._upserted(client, outgoing(text)[:LONGEST])
                except _AgainError as error:
                    why = str(error)
                    wait = pause(0, error.headers, attempt=attempt, now=self.clock.now(), chance=self.clock.chance())
                    if attempt == TRIES or wait > LONGEST_WAIT:
                        break
                    self.clock.sleep(wait)
        raise self._refused(why)

    def _upserted(self, client: httpx.Client, text: str) -> str:
        place = f"{self.api.rstrip('/')}/projects/{quote(self.project, safe='')}/merge_requests/{self.number}"
        head = self._object(client, place).get("sha")
        if self.heads and head not in self.heads:
            return "note: left alone, since the merge request has another head by now"
        me = self._object(client, f"{self.api.rstrip('/')}/user").get("id")
        marker = text.partition("\n")[0]
        for note in self._notes(client, f"{place}/notes"):
            author, number = note.get("author"), note.get("id")
            ours = isinstance(author, Mapping) and author.get("id") == me and isinstance(number, int)
            if ours and str(note.get("body", "")).partition("\n")[0].rstrip() == marker:
                self._asked(client, "PUT", f"{place}/notes/{number}", {"body": text})
                return "note: updated"
        self._asked(client, "POST", f"{place}/notes", {"body": text})
        return "note: created"

    def _notes(self, client: httpx.Client, place: str) -> Iterator[Mapping[str, Any]]:
        for page in range(1, _PAGES + 1):
            found, headers = self._asked(client, "GET", f"{place}?sort=asc&per_page=100&page={page}")
            if not isinstance(found, list):
                raise self._refused("it answered with no list of notes")
            yield from (note for note in found if isinstance(note, Mapping))
            if not headers.get("x-next-page"):
                return

    def _object(self, client: httpx.Client, url: str) -> Mapping[str, Any]:
        found, _ = self._asked(client, "GET", url)
        if not isinstance(found, Mapping):
            raise self._refused("it answered with something else than was asked for")
        return found

    def _asked(
        self, client: httpx.Client, method: str, url: str, body: Mapping[str, str] | None = None
    ) -> tuple[Any, httpx.Headers]:
        """What it answers, as data, with the headers."""
        deadline = time.monotonic() + TIMEOUT
        try:
            with client.stream(method, url, json=body) as answer:
                if answer.status_code in (408, 429) or answer.status_code >= 500:
                    raise _AgainError(f"status {answer.status_code}", answer.headers)
                if not answer.is_success:
                    raise self._refused(f"status {answer.status_code} on {method}")
                if method != "GET":
                    # The status says that it is written, and the body is not used.
                    return None, answer.headers
                content = whole_body(answer, deadline=deadline, most=LARGEST)
        except httpx.DecodingError as error:
            raise self._refused(f"it answered with {error}") from error
        except httpx.HTTPError as error:
            raise _AgainError(type(error).__name__, httpx.Headers()) from error
        try:
            return json.loads(content), answer.headers
        except (ValueError, RecursionError) as error:
            raise self._refused("it answered with something else than JSON") from error

    def _refused(self, why: str) -> PublishError:
        return PublishError("GitLab did not accept the note", where=host_of(self.api), why=why, hint=_HINT)


def merge_request_of(environ: Mapping[str, str], secrets: Mapping[str, str]) -> MergeRequest:
    """The merge request that this job of GitLab CI is about. secrets: variables, among them the token.

    Raises:
        UsageError: this is no such job, or there is no token.
    """
    token = secrets.get(TOKEN, "").strip()
    missing = [name for name in _NEEDED if not environ.get(name)] + ([] if token else [TOKEN])
    if missing:
        raise UsageError(
            "there is no merge request to write a note on",
            why=f"not set: {', '.join(missing)}",
            hint=f"GitLab sets CI_* in pipelines of merge requests; {TOKEN} is a project access token with the scope api.",
        )
    api, project, number = (environ[name] for name in _NEEDED)
    if not is_http(api) or not number.isascii() or not number.isdigit() or not token.isascii() or not token.isprintable():
        raise UsageError(
            "the merge request cannot be reached",
            why=f"{', '.join((*_NEEDED, TOKEN))}: one of them is malformed",
            hint="Take CI_* as GitLab sets them, and store the token again without what was copied with it by mistake.",
        )
    hide([token], certain=True)
    heads = frozenset(filter(None, (environ.get(name) for name in _HEADS)))
    return MergeRequest(api=api, project=project, number=number, token=token, heads=heads)
