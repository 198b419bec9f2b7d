"""Finds credentials that are written into the scenario instead of being read from the environment.

A fault never shows what it found: it will be printed in a log that others read.
"""

from __future__ import annotations

import re

from velro_gate.scenario.syntax.faults import Faults
from velro_gate.scenario.syntax.tree import LinedDict, LinedList, LinedValue

_SHAPES = (
    (re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{2,}"), "a JSON web token"),
    (re.compile(r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/-]{8,}"), "a bearer token or password"),
    (
        re.compile(r"\b(?:sk_live|sk_test|sb_secret|sbp|ghp|gho|github_pat|glpat|xox[bap])[_-][A-Za-z0-9_-]{8,}"),
        "an access token",
    ),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "an access key"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"://[^\s/:@$]*:[^\s/@$]+@"), "a password in a URL"),
)
_CREDENTIAL_KEYS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "apikey", "api-key", "api_key", "x-api-key", "x-auth-token"}
    | {"x-access-token", "password", "passwd", "secret", "client_secret", "token", "access_token", "refresh_token"}
    | {"service_key", "private_key"}
)
_TEMPLATED = ("headers", "query", "json")
"""Where the name of a key says that its value is a credential; elsewhere such a name may be a capture's."""


def refuse_literal_secrets(root: LinedValue, faults: Faults) -> None:
    """Adds a fault for every value of the file that looks like a credential."""
    _search(root, "", 1, faults, templated=False)


def _search(value: LinedValue, key: str, line: int, faults: Faults, *, templated: bool) -> None:
    if isinstance(value, str):
        found = _credential(value, key if templated else "")
        if found:
            advice = "keep it in an environment variable and write ${env.NAME}; if this file was shared, revoke it"
            faults.add(line, f"{key or 'a value'} holds {found}: secrets are read from the environment only", advice)
    elif isinstance(value, LinedDict):
        for name, item in value.items():
            _search(item, name, value.lines[name], faults, templated=templated or name in _TEMPLATED)
    elif isinstance(value, LinedList):
        for index, item in enumerate(value):
            _search(item, key, value.lines[index], faults, templated=templated)


def _credential(text: str, key: str) -> str | None:
    for shape, name in _SHAPES:
        if shape.search(text):
            return name
    if key.lower() in _CREDENTIAL_KEYS and text and "${" not in text:
        return "a literal credential"
    return None
