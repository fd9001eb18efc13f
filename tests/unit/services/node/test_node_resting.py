"""When the thread that records and sends rests, and what wakes it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from millmark.services.node.submission import SubmissionLoop


class _Stream:
    """A stream's recorder: quiet or not, as the test says."""

    name, signer, queued = "bench", b"\x01" * 20, 0

    def __init__(self) -> None:
        self.is_quiet = True
        self.steps = 0

    def step(self) -> None:
        self.steps += 1


class _Parts:
    def __init__(self) -> None:
        self.stream = _Stream()
        self.is_sent = True
        self.broken: Exception | None = None
        self.woken = 0
        submitter: Any = SimpleNamespace(key=b"\x01" * 20, step=self._send, head_number=lambda: 7)
        outbox: Any = SimpleNamespace(
            counts=lambda *_: {}, failed=lambda *_, **__: [], waiting=lambda *_, **__: [], pending=lambda *_: 0
        )
        streams: Any = [self.stream]
        drafts: Any = SimpleNamespace(settle=lambda: None)
        self.sending = SubmissionLoop(
            streams, lambda: (submitter, lambda _: None), outbox, drafts, structlog.get_logger()
        )
        self.sending._look_at_s = self.sending._head_at_s = float("inf")  # those looks read a database
        self.sending.loop.rest_s = 4.0
        self.sending.loop.on_wake = self._note

    def _send(self) -> bool:
        if self.broken is not None:
            raise self.broken
        return self.is_sent

    def _note(self) -> None:
        self.woken += 1

    def round(self) -> float:
        return self.sending._round()


@pytest.fixture
def parts() -> _Parts:
    return _Parts()


def test_it_rests_once_all_is_sent_and_the_streams_are_quiet(parts: _Parts) -> None:
    assert parts.round() == 4.0
    parts.is_sent = False
    assert parts.round() < 1.0, "what is sent is not final yet"
    parts.is_sent = True
    parts.stream.is_quiet = False
    assert parts.round() < 1.0, "a window is open"
    parts.stream.is_quiet = True
    assert parts.round() == 4.0


def test_it_does_not_rest_where_nothing_wakes_it(parts: _Parts) -> None:
    parts.sending.loop.rest_s = 0.0
    assert parts.round() < 1.0
    parts.sending.take_up()
    assert not parts.woken


def test_it_does_not_rest_after_a_failure(parts: _Parts) -> None:
    parts.round()
    parts.broken = OSError("the node does not answer")
    assert parts.round() < 1.0


def test_new_entries_wake_it_once_it_rests_and_no_sooner(parts: _Parts) -> None:
    """A thread that works takes up many entries in one step."""
    woken = []
    for is_sent in (False, True):
        parts.is_sent = is_sent
        parts.round()
        parts.sending.take_up()
        woken.append(parts.woken)
    assert woken == [0, 1]


def test_entries_that_come_while_it_makes_up_its_mind_are_not_missed(parts: _Parts) -> None:
    """They come after the stream was asked, and before the thread rests."""

    class _Late(_Stream):
        @property
        def is_quiet(self) -> bool:
            parts.sending.take_up()
            return True

        @is_quiet.setter
        def is_quiet(self, _: bool) -> None: ...

    late: Any = [_Late()]
    parts.sending._recorders = late
    parts.round()
    assert parts.woken == 1
