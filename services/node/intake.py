"""Common path of all sources: validates an event and submits it to its stream's log, or lists its refusal."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from millmark.ledger.event_json import Parsed
from millmark.services.node.dead_letters import DeadLetters, Origin
from millmark.services.node.errors import EventRefusedError
from millmark.services.node.events import Event, check_event, read_samples
from millmark.services.node.group_commit import Committer, Outcome
from millmark.services.node.lots import Lots
from millmark.services.node.metrics import Metrics

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class StreamIntake:
    """The committer of one stream, and the samples that its events must have."""

    committer: Committer
    samples_field: str | None
    """Member of `data` that holds the samples of events with a lot; None if the stream is not inspected."""
    lots: Lots | None = None
    """Judges the orders of events with a lot; None if the stream is not inspected."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused event of a batch, at `position` from 0."""

    position: int
    reason: str
    cause: str


def choose_id(given: str) -> str:
    """The sender's request id if it is safe to log (1 to 64 of `A-Za-z0-9._-`), otherwise a random one."""
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)


def build_conflict() -> EventRefusedError:
    """The refusal of an event whose id belongs to an event with other content."""
    return EventRefusedError(
        "id-used", "the id belongs to an event with other content", hint="use a unique id for each event"
    )


class Intake:
    """Accepts events for all streams of a node."""

    def __init__(self, streams: Mapping[str, StreamIntake], dead_letters: DeadLetters, metrics: Metrics) -> None:
        self._streams = streams
        self._only = next(iter(streams)) if len(streams) == 1 else None
        """The default stream: the only one, if there is just one."""
        self._dead_letters = dead_letters
        self._metrics = metrics
        self.asks = any(one.lots is not None for one in streams.values())
        """Whether `check` may ask the chain, and so take a while."""

    def check(self, parsed: Parsed, stream: str | None = None) -> tuple[str, Event]:
        """Validates an event and finds its stream. `stream`: the source's configured stream, if any. Raises
        EventRefusedError."""
        event = check_event(parsed)
        name = event.stream or stream or self._only
        if name is None:
            raise EventRefusedError(
                "stream-missing", "the node has several streams, so an event must name the one that it belongs to"
            )
        found = self._streams.get(name)
        # A source that is bound to a stream, such as one machine's folder, must not write evidence of another machine.
        if found is None or (stream is not None and name != stream):
            raise EventRefusedError("stream-unknown", "this source does not accept events for that stream")
        # Refused here, while the sender can still correct it: once stored, the event is evidence that gets no
        # certificate.
        if found.samples_field is not None and isinstance(parsed.value, Mapping) and "lot" in parsed.value:
            read_samples(parsed.value, found.samples_field)
            if found.lots is not None:
                found.lots.verify_event(parsed.value)
        return name, event

    def submit(self, stream: str, events: Sequence[Event]) -> Future[Outcome]:
        """Submits validated events to a stream's log. Raises LogBusyError or LogError; the future raises LogError."""
        # Measured until the future is settled, which is the time that a sender waits for durability.
        begun = time.perf_counter()
        done = self._streams[stream].committer.submit(events)
        done.add_done_callback(lambda settled: self._count(stream, settled, time.perf_counter() - begun))
        return done

    def refuse(self, origin: Origin, error: EventRefusedError, event: bytes) -> None:
        """Counts and lists a refusal. `event`: its bytes as received."""
        self._dead_letters.add(origin, error, event)

    def _count(self, stream: str, settled: Future[Outcome], seconds: float) -> None:
        if settled.exception() is not None:
            self._metrics.failures.labels(stream).inc()
            return
        self._metrics.ack.observe(seconds)
        found = settled.result()
        fates = {"accepted": found.accepted, "duplicate": found.duplicates, "conflict": len(found.conflicts)}
        for fate, number in fates.items():
            if number:
                self._metrics.events.labels(stream, fate).inc(number)
