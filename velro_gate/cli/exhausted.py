"""A machine that runs out of memory or of descriptors while a command works: an error in words, not a fault of the program."""

from __future__ import annotations

import errno
import os

from velro_gate.errors import InfeasibleError, causes_of

_OPEN_FILES = (
    "Raise the limit of open files ('ulimit -n 65536', or LimitNOFILE= of the runner's service), or use a smaller profile."
)
_MEMORY = (
    "Free some memory ('ps aux --sort=-rss' lists what holds it), raise the limit ('ulimit -v'), or use a smaller profile."
)


def exhausted(error: BaseException) -> InfeasibleError | None:
    """What ran out, if that is what an error, or one that it came from, is about."""
    for one in causes_of(error):
        number = one.errno if isinstance(one, OSError) else None
        if number in (errno.EMFILE, errno.ENFILE):
            where = "this process" if number == errno.EMFILE else "this machine"
            return InfeasibleError(f"{where} may open no more files", why=os.strerror(number), hint=_OPEN_FILES)
        if isinstance(one, MemoryError) or number == errno.ENOMEM:
            return InfeasibleError("this machine is out of memory, or this process may use no more", hint=_MEMORY)
    return None
