"""What every source passes: an event is checked, brought to its stream's log, and counted; or refused, and listed."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from ledger.event_json import Parsed
from services.node.dead_letters import DeadLetters, Origin
from services.node.errors import EventRefusedError
from services.node.events import Event, check_event, read_samples
from services.node.group_commit import Committer, Outcome
from services.node.metrics import Metrics

__all__ = ["Intake", "Refusal", "StreamIntake", "build_conflict", "choose_id"]

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class StreamIntake:
    """Where one stream's events go."""

    committer: Committer
    samples_field: str | None
    """Member of the data in which events of a lot have samples; None where nothing is inspected."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Of one event of a batch."""

    position: int
    reason: str
    cause: str


def choose_id(given: str) -> str:
    """The id that the sender gave to what he sent, if it is fit for a log; or another one."""
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)


def build_conflict() -> EventRefusedError:
    """What is said of an event whose id was used before."""
    return EventRefusedError("id-used", "the id was used for another event", hint="give each event its own id")


class Intake:
    """All streams of a node."""

    def __init__(self, streams: Mapping[str, StreamIntake], dead_letters: DeadLetters, metrics: Metrics) -> None:
        self._streams = streams
        self._only = next(iter(streams)) if len(streams) == 1 else None
        """The stream of events that name none."""
        self._dead_letters = dead_letters
        self._metrics = metrics

    def check(self, parsed: Parsed, stream: str | None = None) -> tuple[str, Event]:
        """The stream and the event. `stream`: the source's, if it has one. Raises EventRefusedError."""
        event = check_event(parsed)
        name = event.stream or stream or self._only
        if name is None:
            raise EventRefusedError("stream-missing", "an event names its stream, where there are several")
        found = self._streams.get(name)
        if found is None or (stream is not None and name != stream):
            raise EventRefusedError("stream-unknown", "the event's stream is not one of this source")
        if found.samples_field is not None and isinstance(parsed.value, Mapping) and "lot" in parsed.value:
            read_samples(parsed.value, found.samples_field)
        return name, event

    def submit(self, stream: str, events: Sequence[Event]) -> Future[Outcome]:
        """Raises LogBusyError; the future raises LogError."""
        begun = time.perf_counter()
        done = self._streams[stream].committer.submit(events)
        done.add_done_callback(lambda settled: self._count(stream, settled, time.perf_counter() - begun))
        return done

    def refuse(self, origin: Origin, error: EventRefusedError, event: bytes) -> None:
        """Lists a refusal."""
        self._metrics.refused.labels(origin.source, error.reason).inc()
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
