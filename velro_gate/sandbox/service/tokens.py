"""Signed tokens: JSON Web Tokens with HMAC-SHA256, issued and verified by PyJWT.

Verified tokens are remembered for a short while, as real services do, since the same token comes with every request of a
user; a token is never remembered beyond its own expiry.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt
from cachetools import TTLCache

ALGORITHM = "HS256"
ISSUER = "velro-sandbox"
SERVICE = "service"
USER = "user"
VIEWER = "viewer"
ROLES = (SERVICE, USER, VIEWER)

KEY_SECONDS = 30 * 86_400
"""Seconds for which a service key is valid."""
TOKEN_SECONDS = 3_600
"""Seconds for which a user's token is valid."""
REMEMBERED_TOKENS = 50_000
"""Verified tokens that are remembered: checking a signature costs more than the rest of a cached request."""


class TokenError(Exception):
    """The token proves nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token speaks for."""

    subject: str
    role: str
    expires: float
    """Seconds since 1970."""


def issue_key(secret: str, *, now: float | None = None) -> str:
    """A service key: acts for any user, named by the X-User-Id header. This is what SUPABASE_SERVICE_KEY holds."""
    return issue_token(secret, SERVICE, SERVICE, seconds=KEY_SECONDS, now=now)


def issue_token(secret: str, subject: str, role: str, *, seconds: float = TOKEN_SECONDS, now: float | None = None) -> str:
    """A token for one subject and role that is good for ``seconds`` from ``now`` (seconds since 1970)."""
    issued = time.time() if now is None else now
    claims = {"iss": ISSUER, "sub": subject, "role": role, "iat": int(issued), "exp": int(issued + seconds)}
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


class Verifier:
    """Verifies tokens.

    Args:
        clock: seconds since 1970.
        remembered: seconds a verified token is not verified again.
    """

    def __init__(self, secret: str, *, remembered: float, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        self._known: TTLCache[str, Identity] = TTLCache(REMEMBERED_TOKENS, remembered, timer=clock)

    def verify(self, token: str) -> Identity:
        """Who the token speaks for.

        Raises:
            TokenError: it is malformed, unsigned, signed otherwise, expired, or of another issuer.
        """
        identity = self._known.get(token)
        if identity is None:
            identity = self._decode(token)
            self._known[token] = identity
        if identity.expires <= self._clock():
            raise TokenError("the token has expired")
        return identity

    def _decode(self, token: str) -> Identity:
        try:
            # The one algorithm is named, so "none" and any other are refused; expiry is checked above, by our own clock.
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={"require": ["exp", "sub"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidSignatureError as fault:
            raise TokenError("the token's signature is wrong") from fault
        except jwt.InvalidTokenError as fault:
            raise TokenError("the token is not one of ours") from fault
        role, expires = claims.get("role"), claims["exp"]
        if role not in ROLES or not isinstance(expires, (int, float)):
            raise TokenError("the token's claims are not ours")
        return Identity(claims["sub"], role, float(expires))
