"""What a sandbox is started with."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from velro_gate.errors import UsageError

AUTHENTICATION = "authentication_check"
AUTHORIZATION = "authorization_check"
GENERATION_LIST = "generation_list"
MODEL = "model_access"
GENERATION_CREATE = "generation_create"
MEDIA = "media_url_access"
LOGIN = "login"

STEPS = (AUTHENTICATION, AUTHORIZATION, GENERATION_LIST, MODEL, GENERATION_CREATE, MEDIA, LOGIN)
"""The names of the endpoints, the same as the steps of the velro-prd scenario."""

MODEL_RENAME = "model_rename"
CACHE_INVALIDATE = "cache_invalidate"

WRONG = ("breaker_never_opens", "cache_not_invalidated", "retry_storm", "writes_lost")
"""Ways in which a backend can be wrong that only an experiment shows; see ``service.experiments``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one sandbox; the defaults suit the velro-prd scenario at full size on one core."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    secret: str | None = None
    """Signs the tokens; None makes one."""
    redis_url: str | None = None
    """None: the embedded stand-in."""
    database_url: str | None = None
    """None: the embedded stand-in."""
    work: bool = True
    """Whether steps take simulated time."""
    slow: Mapping[str, float] = field(default_factory=dict)
    """Factor per step from the start."""
    seed: int = 1
    control: bool = True
    """Whether /control exists."""
    workers: int = 0
    """How many steps are worked on at a time; 0: any number."""
    users: int = 20_000
    """How many people the catalogue holds."""
    pool_size: int = 200
    """How many database connections the pool holds."""
    memory_entries: int = 80_000
    """Most entries of the cache in memory."""
    memory_ttl: float = 30.0
    """Seconds for which they are kept."""
    shared_ttl: float = 86_400.0
    """Seconds for which the shared cache keeps an entry."""
    token_ttl: float = 30.0
    """Seconds for which a verified token is remembered."""
    breaker_failures: int = 5
    """Failures in a row that open a breaker."""
    breaker_recovery: float = 2.0
    """Seconds it stays open."""
    database_deadline: float = 2.0
    """Seconds after which a query is given up."""
    wrong: tuple[str, ...] = ()
    """In which ways of ``WRONG`` it is wrong from the start."""

    def __post_init__(self) -> None:
        for step, factor in self.slow.items():
            known_step(step)
            if not (factor > 0.0 and math.isfinite(factor)):
                raise UsageError(f"--slow {step}={factor}: the factor must be positive", hint="1.3 makes a step 30 % slower.")
        for name in self.wrong:
            _known(name, WRONG, "wrong version")
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"{self.port} is not a port", hint="Choose 0 (any free port) to 65535.")
        if self.secret is not None and len(self.secret.encode()) < SECRET_BYTES:
            raise UsageError(f"the sandbox's secret is shorter than {SECRET_BYTES} bytes", hint="Give a longer one, or none.")
        if min(self.users, self.pool_size, self.memory_entries, self.breaker_failures) < 1:
            raise UsageError("users, pool size, cache entries and breaker failures must be at least 1")
        if self.workers < 0:
            raise UsageError(f"{self.workers} workers are not possible", hint="0 means any number.")
        if min(self.memory_ttl, self.shared_ttl, self.token_ttl, self.breaker_recovery, self.database_deadline) <= 0.0:
            raise UsageError("lifetimes, the recovery time and the deadline must be positive")


SECRET_BYTES = 32
"""Shortest secret accepted: as many bytes as HMAC-SHA256 puts out (RFC 7518, 3.2)."""


def known_step(step: str) -> str:
    """The step itself.

    Raises:
        UsageError: the sandbox has no such step; says which was probably meant.
    """
    return _known(step, STEPS, "step")


def _known(name: str, names: tuple[str, ...], kind: str) -> str:
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1)
    meant = f": did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"the sandbox has no {kind} {name!r}{meant}", hint=f"{kind.capitalize()}s: {', '.join(names)}.")
