"""What several acts offer to choose from: companies, machines, streams, measurements, lots. All are bounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from millmark.ledger.provenance.reader import Reader, unit
from millmark.ledger.records import LotState, Role
from millmark.ledger.store.rows import LotRow, MachineRow, ParticipantRow, StreamRow
from millmark.services.portal.acting.fields import Body, EntryError, Field, FieldKind, Option
from millmark.services.portal.acting.things import Scene

__all__ = [
    "LEAF_HASH",
    "LEAF_INDEX",
    "MAX_OPTIONS",
    "choose_measurement",
    "companies",
    "held_lots",
    "list_consignment",
    "lot_options",
    "machines",
    "measurement_options",
    "name_of",
]

MAX_OPTIONS = 200
_MAX_CHOSEN = 1000
"""Companies or machines of a list, in which a browser finds one by its first letters."""
_MAX_ENTRIES = 20
"""Newest entries of a stream that are offered."""
_MAX_STREAMS = 5
_MAX_CONSIGNMENT = 1000
LEAF_INDEX = Field("leaf_index", FieldKind.NUMBER, required=False)
LEAF_HASH = Field("leaf_hash", required=False)


def name_of(reader: Reader, subject: bytes) -> str:
    """What people call a thing: the last part of its identifier, or the beginning of its subject."""
    reader.name([subject])
    identifier = reader.identifier(subject)
    if identifier is None:
        return f"0x{subject.hex()[:8]}…"
    return identifier.rstrip("/").rpartition("/")[2].rpartition(":")[2] or identifier


def companies(scene: Scene, role: Role | None = None, chosen: int = 0) -> list[Option]:
    """Other companies that may act, with a role if one is given. The one that is chosen is never cut off."""
    rows = scene.reader.rows.find(ParticipantRow, inactive_since=0)
    fit = [one.number for one in rows if one.number != scene.company and (role is None or one.roles & role)]
    fit.sort(key=lambda number: (number != chosen, number))
    shown = sorted(fit[:_MAX_CHOSEN])
    parties = [(number, scene.reader.party(number).name) for number in shown]
    found = [Option(str(number), name or f"# {number}", chosen=number == chosen) for number, name in parties]
    return [*found, *_cut(len(fit))]


def machines(scene: Scene) -> list[Option]:
    """Machines that are in use, with their owners."""
    # One more than is shown, to know whether there are more.
    rows = scene.reader.rows.page(MachineRow, "number", None, _MAX_CHOSEN + 1, retired_at=0)
    total, rows = len(rows), rows[:_MAX_CHOSEN]
    scene.reader.name(row.subject for row in rows)
    found = []
    for row in rows:
        owner = scene.reader.party(row.owner).name or f"# {row.owner}"
        found.append(Option(str(row.number), f"{name_of(scene.reader, row.subject)} · {owner}"))
    return [*found, *_cut(total)]


def _cut(total: int) -> list[Option]:
    """An option that cannot be sent, and says that there are more than those before it."""
    return [Option("", key="act.cut")] if total > _MAX_CHOSEN else []


def held_lots(scene: Scene, most: int = MAX_OPTIONS) -> list[LotRow]:
    """The newest lots that the company holds and could do something with: not offered, in quarantine or packed."""
    return scene.reader.rows.latest(
        LotRow, "number", most, custodian=scene.company, state=int(LotState.HELD), parent=None
    )


def lot_options(reader: Reader, rows: Iterable[LotRow], *, chosen: bool = False) -> list[Option]:
    found = list(rows)
    reader.name(row.subject for row in found)
    return [
        Option(
            f"0x{row.subject.hex()}",
            f"{name_of(reader, row.subject)} · {row.quantity} {unit(row.unit)}",
            chosen=chosen,
        )
        for row in found
    ]


def list_consignment(reader: Reader, row: LotRow) -> list[str]:
    """A lot and all that is packed in it, in the order that the contract wants: each lot, then its contents, ascending.
    A consignment that is too long for one record is cut, and the contract refuses it."""
    found: list[str] = []
    left = [row]
    while left and len(found) <= _MAX_CONSIGNMENT:
        one = left.pop()
        found.append(f"0x{one.subject.hex()}")
        inside = reader.rows.find(LotRow, parent=one.subject) if one.contents else []
        left += sorted(inside, key=lambda child: child.subject, reverse=True)
    return found


def measurement_options(reader: Reader, streams: Iterable[StreamRow], least: int = 0) -> list[Option]:
    """The newest anchored entries of streams that are kept here, as `stream:index`."""
    found = []
    for stream in list(streams)[:_MAX_STREAMS]:
        name = name_of(reader, stream.subject)
        for index in range(stream.size - 1, max(stream.size - 1 - _MAX_ENTRIES, least - 1, -1), -1):
            entry = reader.book.evidence_entry(stream.subject, index)
            if entry is not None:
                event = entry.entry.get("id") if isinstance(entry.entry, Mapping) else None
                label = f"{name} · {event if isinstance(event, str) else ''} · {index}"
                found.append(Option(f"0x{stream.subject.hex()}:{index}", label))
    return found


def choose_measurement(body: Body, stream: bytes | None) -> Body:
    """Replaces the member `measurement` of a form by stream and entry. Raises EntryError if neither it nor the number
    of an entry of `stream` is given."""
    chosen = cast("str | None", body.pop("measurement", None))
    if chosen is not None:
        named, _, index = chosen.partition(":")
        if not (index.isascii() and index.isdecimal() and len(index) <= 13):
            raise EntryError("entry.wrong")
        return {**body, "stream": named, "leaf_index": int(index)}
    if body.get("leaf_index") is None:
        raise EntryError("entry.measurement")
    return body if stream is None else {**body, "stream": f"0x{stream.hex()}"}
