"""The two ways in which the backend says no: a refusal of the request, and a dependency that is away."""

from __future__ import annotations


class RefusalError(Exception):
    """The request cannot be answered as asked.

    Args:
        status: of HTTP.
        headers: to send with the reason.
    """

    def __init__(self, status: int, reason: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


class AwayError(Exception):
    """A dependency did not answer or is not asked at the moment. retry_after: seconds until asking again makes sense."""

    def __init__(self, dependency: str, reason: str, retry_after: float) -> None:
        super().__init__(f"{dependency}: {reason}")
        self.dependency = dependency
        self.retry_after = retry_after
