"""Files as a careless or hostile hand leaves them: valid ones with places changed, bytes replaced, or nothing valid at all.

A case is one number, and everything else follows from it: hypothesis would have nothing to draw or to simplify, and would take
longer than most readers do.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from velro_gate.errors import VelroError

CASES = 2_000
"""Cases of one test."""


def fuzzed(test: Any) -> Any:
    """The test with 2,000 cases, each made from its own ``chance``: the same ones in every run, and others in a deep one.

    The folder is shared by all cases of a test, each of which writes its own files first.
    """

    @functools.wraps(test)
    def all_cases(**arguments: Any) -> None:
        for case in range(CASES):
            seed = f"{test.__name__} {case} {salt}"
            try:
                test(**arguments, chance=random.Random(seed))
            except BaseException as error:
                error.add_note(f"in the case random.Random({seed!r})")
                raise

    salt = random.SystemRandom().getrandbits(48) if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 0
    asked = inspect.signature(test)
    # What pytest gives it.
    all_cases.__signature__ = asked.replace(  # type: ignore[attr-defined]
        parameters=[each for name, each in asked.parameters.items() if name != "chance"]
    )
    return all_cases


def put(path: Path, content: bytes) -> None:
    """Write a file of one case. A new one: a file system may wait for the disk when a file is written over."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


# What has gone wrong somewhere in some reader: numbers at the edges, endless ones, half a character, what YAML makes of words.
NASTY: Sequence[object] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -0.0, 1e308, 5e-324, float("inf"), float("nan")),
    *("", " ", "\0", "\ud800", "\u2028", "a\nb", "1.10", "+49", "30", "-1 s", "1e999", "2026-02-30"),
    *("${", "${env.X}", "${user.id", "é" * 50, "x" * 300, "../x", "/", "http://[::1", "http://x:99999", "http://\0"),
    *("< 5", "< -1 %", "NaN", "٣", "²"),
    *([], {}, [[]], {"": None}, [None], {"a": {"b": []}}),
)


def junk(chance: random.Random) -> Any:
    """A value that something may choke on."""
    word = "".join(chance.choices("a0-+.:{}[]$%&*!|>'\"\\ \n\t\0é\ud83d", k=chance.randrange(12)))
    return chance.choice([chance.choice(NASTY), word, chance.uniform(-1e3, 1e12), chance.randrange(-(10**6), 10**12)])


def _changed_once(tree: Any, chance: random.Random) -> Any:
    """A copy of the tree with one place changed; what is not on the way to it is shared with the original."""
    if not isinstance(tree, dict | list) or not tree:
        return junk(chance)
    own: Any = tree.copy()
    key = chance.choice([*tree]) if isinstance(tree, dict) else chance.randrange(len(tree))
    # Deep places are many, so most changes go on downwards.
    if chance.random() < 0.8 and isinstance(own[key], dict | list) and own[key]:
        own[key] = _changed_once(own[key], chance)
        return own
    match chance.choice(["set", "set", "drop", "rename", "twice"]):
        case "drop":
            del own[key]
        case "rename" if isinstance(own, dict):
            own[str(junk(chance))] = own.pop(key)
        case "twice" if isinstance(own, list):
            own.append(own[key])
        case _:
            own[key] = junk(chance)
    return own


def changed(tree: Any, chance: random.Random) -> Any:
    """The tree with up to three of its places set to other values, left out, renamed or doubled."""
    for _ in range(chance.randrange(4)):
        tree = _changed_once(tree, chance)
    return tree


def damaged(tree: Any, chance: random.Random) -> bytes:
    """A file that was JSON of this tree, or this text or these bytes, before somebody changed it; sometimes it never was."""
    text = tree if isinstance(tree, str | bytes) else json.dumps(changed(tree, chance))
    whole = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(80))
    if chance.random() < 0.5:
        at = chance.randrange(len(whole) + 1)
        put = chance.choice([chance.randbytes(2), str(junk(chance)).encode("utf-8", "surrogatepass")])
        whole = whole[:at] + put + whole[at + chance.randrange(30) :]
    return whole


@contextlib.contextmanager
def in_words(*case: object) -> Iterator[None]:
    """Whatever is refused has a message and an exit code of its own."""
    try:
        yield
    except VelroError as error:
        if error.exit_code == VelroError.exit_code:
            raise AssertionError(f"given {case!r}") from error
    except Exception as error:
        error.add_note(f"given {case!r}")
        raise
