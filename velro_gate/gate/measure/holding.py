"""Signals put off while what was measured is being kept: a Ctrl-C right after the load must not lose it."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self


class HeldSignals:
    """``begin`` within the block puts these signals off to its end. For the main thread; without signals it does nothing."""

    def __init__(self, signals: Sequence[signal.Signals]) -> None:
        self._signals = tuple(signals)
        self._before: dict[signal.Signals, Any] = {}
        self._came: list[int] = []

    def begin(self, *, came: bool = False) -> None:
        """Put them off from now on. came: one has come that has not had its effect yet."""
        if came:
            self._came.append(signal.SIGINT)
        for number in self._signals:
            self._before[number] = signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._came.append(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._came and error is None:
            if self._came[0] == signal.SIGINT:
                raise KeyboardInterrupt
            signal.raise_signal(self._came[0])
