"""A bank as a file of lines: how its blocks are made, then one block a line. It grows while it is measured.

A line is whole when it ends in a line break. What a crash left of a line, and blocks of an incomplete cycle,
are dropped when the bank is taken up again: blocks of one cycle have to lie close together in time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from velro_gate.errors import RecordError, UsageError
from velro_gate.model.bank import SLOWDOWNS, Bank, BankedBlock, BankHead
from velro_gate.model.record import fingerprint
from velro_gate.secrecy import outgoing_json
from velro_gate.store.codec import CodecError, decode_bank_head, decode_banked, encode_bank_head, encode_banked
from velro_gate.store.files import read_kept_text, unwritable, write_whole

T = TypeVar("T")


def read_bank(path: Path) -> Bank:
    """The bank in a file.

    Raises:
        RecordError: there is none, or it is damaged or of another version.
    """
    try:
        text = read_kept_text(path, "bank")
    except FileNotFoundError as error:
        raise RecordError("there is no bank", where=str(path), why="the file does not exist") from error
    lines = text.split("\n")[:-1]
    if not lines:
        raise _unreadable(path, 1, CodecError("it has no whole line"))
    head = _line(path, 1, lines[0], decode_bank_head)
    return Bank(
        head=head, blocks=tuple(_line(path, number, line, decode_banked) for number, line in enumerate(lines[1:], start=2))
    )


def _line(path: Path, number: int, line: str, decode: Callable[[str], T]) -> T:
    try:
        return decode(line)
    except CodecError as error:
        raise _unreadable(path, number, error) from error


def _unreadable(path: Path, number: int, error: CodecError) -> RecordError:
    hint = "Move the file away and measure a new bank."
    return RecordError("the bank cannot be read", where=f"{path}:{number}", why=str(error), hint=hint)


def resume_bank(path: Path, head: BankHead) -> Bank:
    """The bank that the file holds, up to its last whole cycle, or a new one without a block.

    Raises:
        RecordError: the file is damaged. UsageError: its blocks were made in another way. OutputError, StorageError: the file
            cannot be written.
    """
    bank = read_bank(path) if path.exists() else Bank(head=head)
    other = _difference(bank.head, head)
    if other:
        raise UsageError(
            f"the bank's blocks were made with another {other}",
            where=str(path),
            hint="Name another file, or give the options that this one was begun with.",
        )
    sizes = Counter(each.cycle for each in bank.blocks)
    kept = tuple(each for each in bank.blocks if sizes[each.cycle] == len(SLOWDOWNS))
    write_whole(path, encode_bank_head(bank.head) + "".join(map(encode_banked, kept)))
    return Bank(head=bank.head, blocks=kept)


def append_block(path: Path, block: BankedBlock) -> None:
    """Put one more block at the end of the file, through to the disk.

    Raises:
        RecordError: a figure is NaN or infinite. OutputError: no permission. StorageError: the disk is full.
    """
    try:
        line = encode_banked(block)
    except CodecError as error:
        raise RecordError("a block cannot be kept", where=str(path), why=str(error)) from error
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(outgoing_json(line))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


def _difference(one: BankHead, other: BankHead) -> str:
    """What differs between two ways of making blocks; empty when they may lie in one bank."""
    pairs = {
        "plan": (one.plan, other.plan),
        "seed": (one.seed, other.seed),
        "length of blocks": ((one.warm_up, one.seconds), (other.warm_up, other.seconds)),
        "environment": (fingerprint(one.environment), fingerprint(other.environment)),
    }
    return next((name for name, (mine, wanted) in pairs.items() if mine != wanted), "")
