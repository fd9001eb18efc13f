"""Ends what a program of the laboratory has started, whatever ends the program itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["end_with_parent", "leaving_on_signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_LEAVE_S = 20.0


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP end this process as an exit does, with 128 and the signal's number: contexts are
    left and `finally` blocks run, which stop what was started. A signal that is ignored, as nohup has it, stays so.

    Only the main thread may enter it.
    """
    before = {one: signal.getsignal(one) for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN}
    for one in before:
        signal.signal(one, _leave)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _leave(number: int, _: object) -> None:
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)  # another one would interrupt the cleaning up
    sys.exit(128 + number)


def end_with_parent() -> None:
    """Has this process, which multiprocessing started, end when the one that started it is gone, killed or not.

    It gets SIGTERM then, and SIGKILL if that does not end it.
    """
    threading.Thread(target=_follow, name="millmark-parent", daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()  # the system closes its end of a pipe, however it ends
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LEAVE_S)
    os.kill(os.getpid(), signal.SIGKILL)
