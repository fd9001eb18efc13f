"""What the laboratory's programs do when a signal ends them."""

from __future__ import annotations

import os
import signal
import time

import pytest

from millmark.services.demo.processes import leaving_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_a_signal_leaves_contexts_as_an_exit_does(number: signal.Signals) -> None:
    held = signal.signal(number, signal.SIG_DFL)  # nohup has SIGHUP ignored, and then it would end nothing
    left = list[str]()

    def work() -> None:
        with leaving_on_signals():
            try:
                os.kill(os.getpid(), number)
                time.sleep(10)  # bounded: where another thread takes the signal, it does not end a sleep
            finally:
                os.kill(os.getpid(), number)  # once more: it does not interrupt the cleaning up
                left.append("cleaned up")

    try:
        with pytest.raises(SystemExit) as ended:
            work()
        assert (ended.value.code, left) == (128 + number, ["cleaned up"])
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, held)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with leaving_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
