"""Heads of responses that were parsed before: equal bytes mean the same, so they are not parsed again."""

from __future__ import annotations

from velro_gate.engine.http.parsing.responses import BLANK_LINE, Response


class KnownHead:
    """What the head of a response says, and how many bytes follow it."""

    __slots__ = ("cache", "cache_layer", "captured", "cookies", "length", "status")

    def __init__(self, answer: Response, length: int) -> None:
        self.length = length
        self.status = answer.status
        self.cache = answer.cache
        self.cache_layer = answer.cache_layer
        self.cookies = answer.cookies
        self.captured = answer.captured


class KnownHeads(dict[bytes, KnownHead]):
    """Heads that were parsed before, without their blank line -> what they say.

    Where a service makes each head unlike any other (an id in each), remembering costs more than it saves, and is given up.
    """

    MOST = 4_096
    MOST_BYTES = 2_048

    def __init__(self) -> None:
        super().__init__()
        self.hits = 0
        self.worthwhile = True

    def recall(self, data: bytes, answer: Response, at: float, *, wants_body: bool) -> bool:
        """Whether ``data`` is one whole response with a known head; then ``answer`` becomes it, its first byte read at ``at``.

        Not for the response to a HEAD, whose length does not mark its end.
        """
        end = data.find(BLANK_LINE)
        head = self.get(data[:end]) if end > 0 else None
        if head is None or len(data) != end + 4 + head.length:
            return False
        self.hits += 1
        answer.first_at = at
        answer.received = len(data)
        answer.raw = [data]
        answer.status = head.status
        answer.complete = answer.clean = answer.reusable = True
        answer.cache = head.cache
        answer.cache_layer = head.cache_layer
        answer.cookies = head.cookies
        answer.captured = head.captured
        answer.body = [data[end + 4 :]] if wants_body else None
        return True

    def learn(self, data: bytes, answer: Response) -> None:
        """Remember the head of a complete answer which all of ``data`` is, if it alone says where the response ends."""
        end = data.find(BLANK_LINE)
        length = len(data) - end - len(BLANK_LINE)
        if not 0 < end <= self.MOST_BYTES or not answer.reusable or not answer.alone(length):
            return
        if len(self) == self.MOST:
            # Full: each head must have been met once more on average, or remembering them has cost more than it saved.
            self.worthwhile = self.hits >= self.MOST
            self.hits = 0
            self.clear()
        if self.worthwhile:
            self[data[:end]] = KnownHead(answer, length)
