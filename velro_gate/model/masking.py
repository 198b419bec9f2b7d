"""Keep secrets out of whatever is shown or stored. Pure text in, text out; the last step before any text leaves the process.

A secret is found by its value: in any case, percent-encoded, escaped as JSON, HTML or markdown, in hexadecimal, in Base64
wherever it begins in what was encoded, over a line break, and in up to three such layers around each other. What somebody hides
on purpose is not found: a secret that was encrypted, compressed or cut to pieces.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

MASK = "***"
SHORTEST = 4
"""Shorter values guard nothing, and masking them would eat ordinary words."""

_LAYERS = 3
"""Encodings within one another that are looked through, such as Base64 of JSON in a URL."""
_WINDOW = 1 << 18  # characters that are searched at once
_WIDEST = 20  # characters of a text that stand for one of a secret, in three layers of escapes, at most
_LEAST_CORE = 6  # characters of Base64 that may pass for somebody's secret by chance: fewer would
_LEAST_LINE = 16  # of a secret of many lines, such as a private key: shorter ones say nothing
_SHORTEST_STRONG, _SHORTEST_WORD, _SHORTEST_NUMBER = 6, 16, 9

# What has the shape of a credential is masked even if nobody named it: tokens that a login step captured, for example.
_SHAPES = (
    (re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*)?"), MASK),
    (re.compile(r"\b(?:gh[oprsu]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"), MASK),
    (re.compile(r"(?i)\b(bearer\s+)(?!\*\*\*)[A-Za-z0-9._~+/-]{12,}=*"), rf"\g<1>{MASK}"),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"']*:)[^\s/@\"']+(?=@)"), rf"\g<1>{MASK}"),
)

_PASSWORD = re.compile(r"://[^\s/:@]*:([^\s/@]+)@")
_PARAMETER = re.compile(r"[?&]([^=&#\s]+)=([^&#\s]+)")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_SECRET_NAME = re.compile(r"(?i)key|token|secret|passw|pwd|credential")

_NAMED = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&nbsp;": "\xa0"}
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_ESCAPE = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2})"
    r"|\\u(?P<unicode>[0-9A-Fa-f]{4})|\\x(?P<byte>[0-9A-Fa-f]{2})|\\(?P<sign>[^\w\s]|[nrtbf])"
    r"|(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|&\#(?P<decimal>[0-9]{1,7});|&\#[xX](?P<hex>[0-9A-Fa-f]{1,6});|(?P<named>&(?:amp|lt|gt|quot|apos|nbsp);)"
)
_BREAK = re.compile(r"[ \t]*\r?\n[ \t]*")
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret replaced by ``***``, in every spelling that the module's docstring names.

    Also masked: JSON web tokens, tokens of GitHub, long bearer tokens and passwords in URLs, whoever they belong to. Secrets
    shorter than SHORTEST characters are left alone. Masking twice changes nothing more.
    """
    spans = _found(text, _needles_of(frozenset(secrets)))
    for begin, end in reversed(spans):
        text = text[:begin] + MASK + text[end:]
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text


def mask_json(text: str, secrets: Iterable[str]) -> str:
    """The same for a JSON document, which stays one: only strings are masked, no number and no word of the format."""
    hidden = frozenset(secrets)
    if mask(text, hidden) == text:
        return text

    def masked(found: re.Match[str]) -> str:
        """A JSON string whose value held a secret, written again without it; others keep their spelling."""
        plain = json.loads(found[0], strict=False)
        hiding = mask(plain, hidden)
        return found[0] if hiding == plain else json.dumps(hiding)

    return _JSON_STRING.sub(masked, text)


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """What an environment holds that nobody should read: by the names of its variables, and passwords inside of URLs.

    For texts whose origin nobody knows, such as that of an unforeseen error. A path is not a secret, whatever its variable's
    name.
    """
    found: list[str] = []
    for name, value in environ.items():
        if "://" in value:
            found += _inside_url(value)
        elif _SECRET_NAME.search(name) and not value.startswith(("/", "./")):
            found.append(value.strip())
    return found


def is_strong(secret: str) -> bool:
    """Whether a secret can be distinguished from a word or a number that a report contains for other reasons.

    A password that is a plain word (``postgres``) guards little, and masking it would eat the words of file formats.
    """
    if secret.isalpha():
        return len(secret) >= _SHORTEST_WORD
    if all(character.isdigit() or character in "+-.," for character in secret):
        return len(secret) >= _SHORTEST_NUMBER
    return len(secret) >= _SHORTEST_STRONG


def _inside_url(url: str) -> Iterator[str]:
    """The password before the host, and the values of query parameters that are named like a secret; decoded ones, too."""
    found = [match[1] for match in _PASSWORD.finditer(url)]
    found += [value for name, value in _PARAMETER.findall(url) if _SECRET_NAME.search(name)]
    for value in found:
        yield value
        decoded = _PERCENT.sub(lambda escape: bytes([int(escape[1], 16)]), value.encode("utf-8", "surrogatepass"))
        yield decoded.decode("utf-8", "replace")


# How a secret is looked for: the text is decoded layer by layer, and each layer searched for a few plain strings.


@dataclass(frozen=True, slots=True)
class _Needle:
    """A string to look for, folded."""

    text: str
    before: bool = False
    """Whether the Base64 character before it holds bits of the secret."""
    after: bool = False
    """Whether the Base64 character after it holds bits of the secret."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """A decoded text; for each of its characters where it began and ended in the original. None: it is the original."""

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """The stretch of the original text that a stretch of this layer was decoded from."""
        if self.starts is None or self.ends is None:
            return begin, end
        return self.starts[begin], self.ends[end - 1]


def _found(text: str, needles: tuple[_Needle, ...]) -> list[tuple[int, int]]:
    """Where secrets stand, in order and without overlap. Window by window, since decoded text takes fifty times its memory."""
    if not needles:
        return []
    # A secret that crosses the end of a window, in its longest spelling, lies whole in the overlap.
    overlap = _WIDEST * max(len(needle.text) for needle in needles)
    spans: list[tuple[int, int]] = []
    for begin in range(0, max(len(text), 1), _WINDOW):
        window = text[begin : begin + _WINDOW + overlap]
        spans += [(begin + start, begin + end) for start, end in _found_in(window, needles)]
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _found_in(text: str, needles: tuple[_Needle, ...]) -> Iterator[tuple[int, int]]:
    for layer in _layers(text, needles):
        folded = _fold(layer.text)
        for needle in needles:
            at = folded.find(needle.text)
            while at >= 0:
                yield layer.span(*_widened(layer.text, at, needle))
                at = folded.find(needle.text, at + 1)


def _widened(text: str, at: int, needle: _Needle) -> tuple[int, int]:
    begin, end = at, at + len(needle.text)
    if needle.before and begin and text[begin - 1] in _BASE64:
        begin -= 1
    if needle.after and end < len(text) and text[end] in _BASE64:
        end += 1
    return begin, end


def _layers(text: str, needles: tuple[_Needle, ...]) -> Iterator[_Layer]:
    """The text as it is, without its line breaks, and with its escapes taken off once, twice, three times.

    Only those that hold anything: that much is seen without keeping account of where each character came from.
    """
    yield _Layer(text)
    if "\n" in text and _holds(_BREAK.sub("", text), needles):
        yield _replaced(_Layer(text), _BREAK)
    plain = text
    for depth in range(1, _LAYERS + 1):
        before, plain = plain, _ESCAPE.sub(lambda found: "".join(sign for sign, _ in _decoded(found)), plain)
        if plain == before:
            return
        if _holds(plain, needles):
            layer = _Layer(text)
            for _ in range(depth):
                layer = _replaced(layer, _ESCAPE)
            yield layer


def _holds(text: str, needles: tuple[_Needle, ...]) -> bool:
    folded = _fold(text)
    return any(needle.text in folded for needle in needles)


def _replaced(layer: _Layer, pattern: re.Pattern[str]) -> _Layer:
    """The layer below: what the pattern finds is decoded, or dropped where it is a line break."""
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def take(begin: int, end: int, text: str | None = None) -> None:
        """Characters as they are, or decoded ones, which all stand for the whole of what was decoded."""
        if text is None:
            parts.append(layer.text[begin:end])
            starts.extend(range(begin, end))
            ends.extend(range(begin + 1, end + 1))
        else:
            parts.append(text)
            # A secret that begins or ends within decoded characters takes all of their escape with it: half an escape would be
            # no text.
            starts.extend([begin] * len(text))
            ends.extend([end] * len(text))

    at = 0
    for found in pattern.finditer(layer.text):
        take(at, found.start())
        at = found.start()
        for character, length in _decoded(found) if pattern is _ESCAPE else ():
            take(at, at + length, character)
            at += length
        at = found.end()
    take(at, len(layer.text))
    if layer.starts is not None and layer.ends is not None:
        above_starts, above_ends = layer.starts, layer.ends
        starts = [above_starts[begin] for begin in starts]
        ends = [above_ends[end - 1] for end in ends]
    return _Layer("".join(parts), starts, ends)


def _decoded(found: re.Match[str]) -> Iterator[tuple[str, int]]:
    """The characters that an escape stands for, each with the length of its part of the escape."""
    whole = found[0]
    kind = found.lastgroup
    if kind == "percent":
        data = bytes.fromhex(whole.replace("%", ""))
        try:
            plain = data.decode()
        except UnicodeDecodeError:
            # A client may write URLs in Latin-1: each byte is then a character of its own, three characters long as "%E9".
            plain = data.decode("latin-1")
            yield from ((character, 3) for character in plain)
            return
        # UTF-8 percent-encodes every byte: three characters of text for each byte of the character (RFC 3986, section 2.5).
        yield from ((character, 3 * len(character.encode())) for character in plain)
        return
    value = found[kind] if kind else ""
    if kind == "pair":
        # JSON escapes what is above U+FFFF as a UTF-16 surrogate pair (RFC 8259, section 7).
        high, low = int(whole[2:6], 16), int(whole[8:12], 16)
        plain = chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    elif kind == "sign":
        plain = _LETTERS.get(value, value)
    elif kind == "named":
        plain = _NAMED[value]
    else:
        code = int(value, 10 if kind == "decimal" else 16)
        plain = chr(code) if code <= 0x10FFFF else "\ufffd"
    yield plain, len(whole)


def _fold(text: str) -> str:
    """Without case, and of the same length."""
    low = text.lower()
    if len(low) != len(text):
        low = "".join(small if len(small := character.lower()) == 1 else character for character in text)
    return low.replace("ς", "σ")


@lru_cache(maxsize=64)
def _needles_of(secrets: frozenset[str]) -> tuple[_Needle, ...]:
    found: dict[_Needle, None] = {}
    for secret in sorted(secrets):
        if len(secret) >= SHORTEST:
            lines = secret.splitlines()
            for part in {secret, *(line for line in lines if len(lines) > 1 and len(line) >= _LEAST_LINE)}:
                found.update(dict.fromkeys(_needles(part)))
    return tuple(found)


def _needles(secret: str) -> Iterator[_Needle]:
    """The secret; the part of its Base64 that depends on nothing around it, by where it begins; its hexadecimal digits."""
    data = secret.encode("utf-8", "surrogatepass")
    yield _Needle(_fold(secret))
    # Escaped as JSON, since a lone surrogate has no other spelling there; and with the blanks of a form.
    yield _Needle(_fold(json.dumps(secret)[1:-1]))
    if " " in secret:
        yield _Needle(_fold(secret.replace(" ", "+")))
    yield _Needle(data.hex())
    for offset in range(3):
        packed = base64.b64encode(bytes(offset) + data).decode()
        first, last = -(-8 * offset // 6), 8 * (offset + len(data)) // 6
        core = packed[first:last]
        if len(core) >= _LEAST_CORE:
            partly = bool(8 * (offset + len(data)) % 6)
            for spelling in {core, core.translate(str.maketrans("+/", "-_"))}:
                yield _Needle(_fold(spelling), before=offset > 0, after=partly)
