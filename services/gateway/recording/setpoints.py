"""The operator's answer to proposed setpoints: an entry of the machine's stream, which is anchored.

Nothing else accepts a proposal: it is accepted if and only if the stream has the entry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.store.rows import MachineRow, StreamRow
from millmark.services.gateway.recording.entries import anchor_with, build_event
from millmark.services.planning.shelf import is_for_offers
from millmark.services.setpoints import SetpointState
from millmark.services.setpoints.answers import build_answer
from millmark.services.setpoints.document import setpoint_event_id
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow
from millmark.services.setpoints.views import find_answer, state_of

__all__ = ["find_setpoint_answer"]


def find_setpoint_answer(reader: Reader, asked: Mapping[str, Any]) -> dict[str, object]:
    """The anchor that has the answer, and the entry to be kept.

    The same answer that is in the stream already and is not anchored is anchored again. Raises NotFoundError for an
    unknown proposal; InputError for one of another company's machine, for one that is answered, superseded or over, for
    a refusal without a reason, and for a stream that is captured or kept elsewhere.
    """
    repository = SetpointRepository(reader.rows)
    row = repository.get(asked["id"])
    if row is None:
        raise NotFoundError(f"there is no proposal {asked['id']}", hint="millmark setpoints list")
    machine, stream = reader.rows.get(MachineRow, row.machine), reader.rows.get(StreamRow, row.stream)
    if machine is None or stream is None or machine.owner != asked["creator"]:
        raise InputError(f"machine {row.machine} is of another company", hint="its owner answers proposals for it")
    now_s = int(time.time())
    answer = build_answer(row, asked["answer"], asked["reason_text"], now_s)
    size = reader.book.evidence_size(row.stream)
    if (found := find_answer(reader.book, row)) is not None:
        _verify_repeated(row, found, answer, anchored=stream.size)
        return anchor_with(reader.book, stream, [], size)
    _verify_open(reader, repository, row, now_s)
    # Of a company's streams a node captures all but those for offers.
    captured = asked["captured"] and not is_for_offers(reader.book, stream)
    if captured or size < stream.size:
        hint = f"send the node the event {setpoint_event_id(row.number, row.digest)}, as SETPOINTS.md shows it"
        raise InputError("the evidence of this stream is not kept here", hint=hint)
    draw = cast("Callable[[], bytes]", asked["salt"])
    entry = build_event(size, setpoint_event_id(row.number, row.digest), {"setpoint": answer}, draw)
    return anchor_with(reader.book, stream, [entry], size)


def _verify_repeated(
    row: SetpointRow, found: tuple[int, Mapping[str, object]], answer: Mapping[str, Json], *, anchored: int
) -> None:
    index, known = found
    if {**known, "at": answer["at"]} != answer:
        raise InputError(f"proposal {row.number} is {known.get('answer')} already", hint="an answer is given once")
    if index < anchored:
        raise InputError(f"proposal {row.number} is {known.get('answer')} already, and that is anchored")


def _verify_open(reader: Reader, repository: SetpointRepository, row: SetpointRow, now_s: int) -> None:
    state = state_of(reader.book, repository, row, now_s)
    if state is SetpointState.SUPERSEDED:
        raise InputError(f"a later proposal took the place of {row.number}", hint="answer that one")
    if state is SetpointState.EXPIRED:
        raise InputError(f"proposal {row.number} was for a state that is over", hint="have another one made")
