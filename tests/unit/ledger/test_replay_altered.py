"""Histories that are in order, altered in one record: made by another participant, made twice, or saying something
else. What the replay lets pass is listed, with the reason why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from millmark.ledger.events import HISTORY_EVENTS, Event
from millmark.ledger.records import Disposition, TransformationKind, Verdict
from tests.support.event_data import changed
from tests.support.story import (
    BUYER,
    CARRIER,
    COORDINATOR,
    HISTORIES,
    INSPECTOR,
    MAKER,
    OTHER,
    Episode,
    Story,
    key_of,
    refused_record,
)

EVERYBODY = frozenset(range(1, 8))
OWNER = 0

ALSO_BY = {
    # Whoever has the role: roles as they were at the time are for the contracts' code.
    "OrderPlaced": EVERYBODY,
    "LotReceived": EVERYBODY,
    "CertificateIssued": EVERYBODY,
    "OpeningDemanded": EVERYBODY,
    "CertificateUpheld": EVERYBODY,
    "CertificateRefuted": EVERYBODY,
    # Whoever the council named, but not who has it.
    "CustodyReclaimed": EVERYBODY - {MAKER},
    # Whoever might reclaim the parent.
    "LotsUnpacked": EVERYBODY,
    # Either side of an order; the buyer also in place of a coordinator that is gone.
    "OrderCancelled": {BUYER, COORDINATOR},
    "AssignmentCancelled": {BUYER, COORDINATOR},
    "RevisionProposed": {BUYER, COORDINATOR},
    "EndProposed": {BUYER, COORDINATOR},
    # Who has the lot, where the quarantine may be lifted, and who imposed it.
    "LotReleased": {MAKER, CARRIER, INSPECTOR},
    "NoteRecorded": {OWNER},
}
"""Who else may make a record of a kind, in these histories."""

TWICE = {
    "CertificateIssued", "RevisionProposed", "EndProposed", "LotReworked", "LotScrapped",
    "NoteRecorded", "GateWaived",
}  # fmt: skip
"""Kinds that may be recorded twice in the same words: there is enough left, or the later one takes the place of the
earlier."""

FREE = {
    # What a participant decides, within limits that other tests try.
    "OrderPlaced": ("terms.operations", "terms.coordinator", "terms.gates", "terms.due_at"),
    "RevisionProposed": ("terms.operations", "terms.coordinator", "terms.gates", "terms.due_at"),
    "OrderDelivered": ("count", "quantity", "lots_digest"),
    "AssignmentStarted": ("stream_size",),
    "AssignmentFinished": ("leaf_index", "leaf_hash"),
    "LotCommissioned": ("quantity", "unit"),
    "LotReceived": ("quantity", "unit"),
    "LotScrapped": ("quantity", "disposition"),
    "LotReworked": ("rework.components.0.quantity",),
    "CustodyOffered": ("to",),
    "CertificateIssued": (
        "anchor_size", "statement.expires_at", "statement.inference_digest", "statement.leaf_hash",
        "statement.leaf_index", "statement.model", "statement.verdict",
    ),
    "CertificateRefuted": ("executed",),
    "NoteRecorded": ("kind_", "about"),
    # An end without a proposal is one that the council brings about.
    "OrderEnded": ("proposal",),
    # Of stock no operation is asked, what is converted need not be for an order, and a merge can be called a
    # conversion.
    "LotsTransformed": ("transformation.operation", "transformation.order", "transformation.kind"),
}  # fmt: skip
"""Members that may have another value, by kind."""
ENUMERATIONS = {"kind": TransformationKind, "verdict": Verdict, "disposition": Disposition}


def _count(tell: Episode) -> int:
    story = Story()
    tell(story)
    return len(story.entries)


PLACES = [
    pytest.param(number, place, id=f"{tell.__name__}-{place + 1}")
    for number, tell in enumerate(HISTORIES)
    for place in range(_count(tell))
]


def begun(number: int, place: int) -> Story:
    """The records of a history up to one, which is the last."""
    story = Story()
    HISTORIES[number](story)
    story.keep(place + 1)
    return story


def test_the_histories_are_in_order_and_have_every_kind() -> None:
    found = set()
    for number, tell in enumerate(HISTORIES):
        story = begun(number, _count(tell) - 1)
        assert refused_record(story) is None, tell.__name__
        found |= {entry.kind for entry in story.entries}
    assert found == set(HISTORY_EVENTS)


@pytest.mark.parametrize(("number", "place"), PLACES)
def test_a_record_is_made_by_who_may(number: int, place: int) -> None:
    entry = begun(number, place).entries[-1]
    for by in {OWNER, *EVERYBODY} - {entry.participant, *ALSO_BY.get(entry.kind, ())}:
        story = begun(number, place)
        story.entries[-1] = entry._replace(participant=by, key=key_of(by or OTHER))
        assert refused_record(story) == entry.sequence, by


@pytest.mark.parametrize(("number", "place"), PLACES)
def test_a_record_is_made_once(number: int, place: int) -> None:
    story = begun(number, place)
    entry = story.entries[-1]
    story.now += 1
    story.entries.append(entry._replace(sequence=place + 2, time=story.now))
    for name in entry.histories:
        story.histories[name].append(place + 2)
    assert refused_record(story) == (None if entry.kind in TWICE else place + 2)


@pytest.mark.parametrize(("number", "place"), PLACES)
def test_a_record_says_what_follows(number: int, place: int) -> None:
    entry = begun(number, place).entries[-1]
    free = FREE.get(entry.kind, ())
    for path, event in alterations(entry.event):
        if path.endswith("_root") or any(f"{path}.".startswith(f"{one}.") for one in free):
            continue
        story = begun(number, place)
        story.entries[-1] = entry._replace(event=event)
        assert refused_record(story) == entry.sequence, (path, event)


def alterations(event: Event) -> Iterator[tuple[str, Event]]:
    """The event with another value in one place, and that place."""
    for path, value in _others(event, ()):
        assert isinstance(value, Event)
        yield ".".join(path), value


def _others(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, bool):
        yield path, not value
    elif isinstance(value, int):
        named = ENUMERATIONS.get(path[-1])
        for number in {value + 1, max(value - 1, 0), 0, 99} - {int(value)}:
            yield path, named(number) if named and number in tuple(named) else number
    elif isinstance(value, bytes):
        yield from ((path, other) for other in {bytes(len(value)), b"\7" * len(value)} - {value})
    elif isinstance(value, tuple):
        yield from ((path, other) for other in ((value[:-1], (*value, value[-1])) if value else ()))
        for place, one in enumerate(value):
            for below, other in _others(one, (*path, str(place))):
                yield below, (*value[:place], other, *value[place + 1 :])
    elif is_dataclass(value):
        for field in fields(value):
            for below, other in _others(getattr(value, field.name), (*path, field.name)):
                yield below, changed(value, **{field.name: other})


# What a record names is proved

NAMING = {
    "coordinator": "participant", "inspector": "participant", "owner": "participant", "to": "participant",
    "from_": "participant", "machine": "machine", "model": "model", "stream": "stream",
}  # fmt: skip
"""Members that name an entry of the registry, and what they name."""


def _named(value: object) -> Iterator[tuple[str, int | bytes]]:
    if isinstance(value, tuple):
        for one in value:
            yield from _named(one)
    elif is_dataclass(value):
        for field in fields(value):
            member = getattr(value, field.name)
            if field.name in NAMING and member:
                yield NAMING[field.name], member
            else:
                yield from _named(member)


@pytest.mark.parametrize("number", range(len(HISTORIES)), ids=lambda number: HISTORIES[number].__name__)
def test_what_a_record_names_is_proved(number: int) -> None:
    story = begun(number, _count(HISTORIES[number]) - 1)
    first: dict[tuple[str, int | bytes], int] = {}
    for entry in story.entries:
        named: tuple[tuple[str, int | bytes], ...] = (
            ("participant", entry.participant),
            ("key", entry.key),
            *_named(entry.event),
        )
        for what in named:
            first.setdefault(what, entry.sequence)
    for what, sequence in first.items():
        assert refused_record(story, unproved=what) == sequence, what
