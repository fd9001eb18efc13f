"""What the laboratory's programs do when a signal ends them."""

from __future__ import annotations

import os
import signal

import pytest

from services.lab.ending import leaving_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_a_signal_leaves_contexts_as_an_exit_does(number: signal.Signals) -> None:
    before, left = signal.getsignal(number), list[str]()

    def work() -> None:
        with leaving_on_signals():
            try:
                os.kill(os.getpid(), number)
                signal.pause()
            finally:
                os.kill(os.getpid(), number)  # once more: it does not interrupt the cleaning up
                left.append("cleaned up")

    with pytest.raises(SystemExit) as ended:
        work()
    assert (ended.value.code, left) == (128 + number, ["cleaned up"])
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with leaving_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
