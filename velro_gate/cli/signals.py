"""How a process of velro-gate ends when it is asked to."""

from __future__ import annotations

import signal


def end_by_sigterm_as_by_ctrl_c() -> None:
    """CI systems cancel a job by SIGTERM: end in the same order as at a terminal, with 130 and what was started stopped."""
    # A shell's background job ignores SIGINT. There SIGTERM must keep its own effect, or nothing would end the command.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
