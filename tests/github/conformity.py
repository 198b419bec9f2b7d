"""Whether a request and its answer are what GitHub describes: openapi-core against the slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

from tests.github.samples import description

HOST = "http://api.example"


@dataclass(frozen=True)
class Asked:
    """A request in openapi-core's terms."""

    method: str
    path: str
    parameters: RequestParameters
    body: bytes | None
    content_type: str
    host_url: str = HOST


@dataclass(frozen=True)
class Answered:
    """An answer in openapi-core's terms."""

    status_code: int
    data: bytes | None
    content_type: str
    headers: Mapping[str, Any]


@cache
def _described() -> OpenAPI:
    return OpenAPI.from_dict(description())  # type: ignore[arg-type]


def asked(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Asked:
    """A request as it came in."""
    parameters = RequestParameters(query=ImmutableMultiDict(query), header=Headers(list(headers.items())))
    return Asked(method.lower(), path, parameters, body or None, headers.get("content-type", ""))


def fault_of_request(request: Asked) -> str:
    """Why GitHub does not describe this request; empty when it does."""
    return _fault(lambda: _described().validate_request(request))


def fault_of_answer(request: Asked, status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Why GitHub does not describe this answer to it; empty when it does."""
    content_type = headers.get("content-type", "").split(";")[0]
    answer = Answered(status, body or None, content_type, Headers(list(headers.items())))
    return _fault(lambda: _described().validate_response(request, answer))


def _fault(check: Any) -> str:
    try:
        check()
    except OpenAPIError as error:
        causes = [str(error)]
        cause: BaseException | None = error.__cause__
        while cause is not None:
            causes.append(str(cause))
            causes += [str(each.message) for each in getattr(cause, "schema_errors", ())]
            cause = cause.__cause__
        return "; ".join(causes)[:2_000]
    return ""
