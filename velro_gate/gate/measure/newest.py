"""The newest readings of the service, for the live view."""

from __future__ import annotations

from dataclasses import replace

from velro_gate.model.run import Progress, Reading

_CPU = ("service", "cpu_seconds")
_USED = ("service", "database_pool_in_use")
_SIZE = ("service", "database_pool_size")


class NewestReadings:
    """Keeps the last reading of each series, and of the CPU counter the one before it."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], Reading] = {}
        self._before: Reading | None = None

    def keep(self, reading: Reading) -> None:
        """One more reading."""
        key = (reading.source, reading.name)
        if key == _CPU:
            self._before = self._newest.get(key)
        self._newest[key] = reading

    def shown(self, progress: Progress) -> Progress:
        """The same with what the service uses at present, as far as that was read."""
        used, size = self._newest.get(_USED), self._newest.get(_SIZE)
        pool = None if used is None or size is None else (used.value, size.value)
        return replace(progress, service_cpu=self._cores(), pool=pool)

    def _cores(self) -> float | None:
        before, now = self._before, self._newest.get(_CPU)
        if before is None or now is None or now.at <= before.at or now.value < before.value:
            return None
        return (now.value - before.value) / (now.at - before.at)
