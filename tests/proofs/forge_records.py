"""Forgeries for step 5, records that differ from those in the histories; and for step 6: histories that the contracts
would never have recorded, with heads and state to match."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from millmark.ledger.bundle import HistoryShown, RecordShown, WithheldRecord
from millmark.ledger.canonical import keccak256
from millmark.ledger.events import HISTORY_EVENTS
from millmark.ledger.events.certificates import (
    CertificateIssued,
    CertificateRefuted,
    CertificateUpheld,
    OpeningDemanded,
)
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.events.orders import AssignmentProposed, OrderPlaced
from millmark.ledger.records import Gate, Item, ModelState, Verdict
from millmark.ledger.verify import Step
from tests.proofs.forging import changing
from tests.support.bundle_content import Content, entry_of, event_in, head_of, inner_of_shown, with_fields
from tests.support.event_data import changed, encode_event


def _keep_heads(content: Content) -> None:
    """Keeps the heads of the true records, which a forger cannot change."""
    content.heads = {one.subject: head_of(content.bundle, one) for one in content.bundle.histories}


def _set(content: Content, history: HistoryShown) -> None:
    histories = (history if one.subject == history.subject else one for one in content.bundle.histories)
    content.change(histories=tuple(histories))


def _long(content: Content, rng: Random, least: int) -> HistoryShown:
    return rng.choice([one for one in content.bundle.histories if len(one.records) >= least])


@changing(Step.HEADS)
def record_left_out(content: Content, rng: Random) -> None:
    """Any records are missing, including failing certificates and quarantines."""
    _keep_heads(content)
    content.drop(*rng.sample([one.sequence for one in content.bundle.records], rng.randrange(1, 4)))


@changing(Step.HEADS)
def left_out_of_one_history(content: Content, rng: Random) -> None:
    """The record is missing from one of the two histories that it names, and even the heads are adjusted."""
    history = _long(content, rng, 2)
    at = rng.choice([place for place, one in enumerate(history.records) if isinstance(one, int)])
    _set(content, replace(history, records=history.records[:at] + history.records[at + 1 :]))


@changing(Step.HEADS)
def out_of_order(content: Content, rng: Random) -> bool | None:
    """Two records are swapped, and the heads adjusted."""
    history = _long(content, rng, 2)
    one, two = rng.sample(range(len(history.records)), 2)
    records = list(history.records)
    if not isinstance(records[one], int) or not isinstance(records[two], int):
        return False
    records[one], records[two] = records[two], records[one]
    _set(content, replace(history, records=tuple(records)))
    return None


@changing(Step.HEADS)
def twice(content: Content, rng: Random) -> bool | None:
    """A record occurs twice in a history."""
    history = _long(content, rng, 1)
    at = rng.randrange(len(history.records))
    if isinstance(history.records[at], WithheldRecord):
        _keep_heads(content)
    records = history.records[: at + 1] + history.records[at:]
    _set(content, replace(history, records=records))
    return None


@changing(Step.HEADS)
def foreign(content: Content, rng: Random) -> bool | None:
    """A record of another history is added, and the heads adjusted."""
    one, other = rng.sample(content.bundle.histories, 2)
    borrowed = rng.choice(other.records)
    if not isinstance(borrowed, int) or borrowed in one.records:
        return False
    numbers = [item for item in one.records if isinstance(item, int)]
    withheld = [item for item in one.records if not isinstance(item, int)]
    _set(content, replace(one, records=(*sorted((*numbers, borrowed)), *withheld)))
    return None


@changing(Step.HEADS)
def of_no_history(content: Content, rng: Random) -> None:
    record = rng.choice(content.bundle.records)
    content.put(replace(record, sequence=content.bundle.records[-1].sequence + rng.randrange(1, 2**20)))


@changing(Step.HEADS)
def named_and_missing(content: Content, rng: Random) -> None:
    """A history lists a record that the bundle lacks."""
    _keep_heads(content)
    gone = rng.choice(content.bundle.records)
    content.change(records=tuple(one for one in content.bundle.records if one is not gone))


@changing(Step.HEADS)
def rewritten(content: Content, rng: Random) -> bool | None:
    """A record has another time, participant, key or data, under the true heads."""
    _keep_heads(content)
    record = rng.choice(content.bundle.records)
    choice = rng.randrange(4)
    if choice == 0:
        changed = replace(record, block_time=record.block_time + rng.choice([-1, 1]) * rng.randrange(1, 1000))
    elif choice == 1:
        changed = replace(record, participant=(record.participant + rng.randrange(1, 2**31)) % 2**32)
    elif choice == 2:
        changed = replace(record, data=record.data[:12] + rng.randbytes(20) + record.data[32:])
    else:
        data = bytearray(record.data)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        changed = replace(record, data=bytes(data))
    content.put(changed)
    return None


@changing(Step.HEADS)
def of_another_kind(content: Content, rng: Random) -> bool | None:
    """The same data under the name of another kind with the same layout."""
    _keep_heads(content)
    record = rng.choice(content.bundle.records)
    kinds = [name for name in HISTORY_EVENTS if name != record.kind]
    content.put(replace(record, kind=rng.choice(kinds)))
    return None


@changing(Step.HEADS)
def of_no_kind(content: Content, rng: Random) -> None:
    """An unknown kind, and the heads adjusted."""
    record = rng.choice(content.bundle.records)
    name = "".join(rng.choice("ABCDEFabcdef") for _ in range(rng.randrange(3, 20)))
    content.put(replace(record, kind=name))


@changing(Step.HEADS)
def not_canonical(content: Content, rng: Random) -> bool | None:
    """Data that a lenient ABI decoder reads as the same record, and the heads adjusted."""
    record = rng.choice(content.bundle.records)
    data = record.data
    choice = rng.randrange(4)
    if choice == 0:
        data += bytes(rng.randrange(1, 64))
    elif choice == 1:
        data = bytes([rng.randrange(1, 256)]) + data[1:]  # above the address
    elif choice == 2:
        data = data[:-1] if rng.random() < 0.5 else data[: -32 * rng.randrange(1, 3)]
    else:
        at = 32 * rng.randrange(1, 2)
        data = data[:at] + (int.from_bytes(data[at : at + 32], "big") + 32).to_bytes(32, "big") + data[at + 32 :]
    content.put(replace(record, data=data))
    return None


@changing(Step.HEADS)
def number_out_of_range(content: Content, rng: Random) -> None:
    """Numbers that the contract cannot hold, and the heads adjusted."""
    record = content.bundle.records[-1]
    if rng.random() < 0.5:
        content.put(replace(record, participant=record.participant + (1 << 32) * rng.randrange(1, 2**20)))
        return
    content.drop(record.sequence)
    number = (1 << 40) + rng.randrange(2**12)
    touched = [one.subject for one in content.bundle.histories if one.subject in _named(record.data)]
    content.append(replace(record, sequence=number), *touched)


def _named(data: bytes) -> set[bytes]:
    return {data[at : at + 32] for at in range(96, len(data), 32)}


@changing(Step.HEADS)
def withheld_that_must_not_be(content: Content, rng: Random) -> bool | None:
    """A record that affects a part's status is withheld. The heads match, and its content would stay hidden."""
    record = rng.choice([one for one in content.bundle.records if not HISTORY_EVENTS[one.kind].withholdable])
    _withhold(content, record.sequence, WithheldRecord(record.kind, inner_of_shown(record)))
    return None


@changing(Step.HEADS)
def withheld_falsely(content: Content, rng: Random) -> bool | None:
    """A record is withheld under a kind that may be withheld, or a withheld record is replaced."""
    _keep_heads(content)
    record = rng.choice(content.bundle.records)
    inner = rng.choice([inner_of_shown(record), rng.randbytes(32), keccak256(record.data)])
    if HISTORY_EVENTS[record.kind].withholdable and inner == inner_of_shown(record):
        inner = rng.randbytes(32)
    _withhold(content, record.sequence, WithheldRecord("LotsTransformed", inner))
    return None


@changing(Step.HEADS)
def withheld_more(content: Content, rng: Random) -> None:
    """Withheld records are added or removed under the true heads."""
    _keep_heads(content)
    history = rng.choice(content.bundle.histories)
    at = rng.randrange(len(history.records) + 1)
    more = WithheldRecord("LotsTransformed", rng.randbytes(32))
    _set(content, replace(history, records=(*history.records[:at], more, *history.records[at:])))


def _withhold(content: Content, sequence: int, withheld: WithheldRecord) -> None:
    content.change(records=tuple(one for one in content.bundle.records if one.sequence != sequence))
    content.change(
        histories=tuple(
            replace(one, records=tuple(withheld if link == sequence else link for link in one.records))
            for one in content.bundle.histories
        )
    )


_BY_SEVERAL = (
    "OrderPlaced", "OrderCancelled", "RevisionProposed", "RevisionAccepted", "LotReceived",
    "LotsTransformed", "LotQuarantined", "CertificateIssued", "CertificateUpheld", "CertificateRefuted",
    "OpeningDemanded", "NoteRecorded",
)  # fmt: skip
_ACTORS = tuple(HISTORY_EVENTS.keys() - set(_BY_SEVERAL))
"""Kinds that only one participant can record, determined by earlier records."""
_REPEATABLE = (
    "OrderCancelled", "RevisionProposed", "AssignmentProposed", "LotScrapped", "LotsPacked",
    "LotQuarantined", "CustodyOffered", "CertificateIssued", "CertificateRefuted", "NoteRecorded",
    "GateWaived",
)  # fmt: skip
_ONCE = tuple(HISTORY_EVENTS.keys() - set(_REPEATABLE))
"""Kinds that cannot come twice in a row."""
_ORIGINS = ("OrderPlaced", "LotReceived", "LotCommissioned", "LotsTransformed")


def _of(content: Content, rng: Random, *kinds: str) -> RecordShown | None:
    found = [one for one in content.bundle.records if one.kind in kinds]
    return rng.choice(found) if found else None


def _key_of(content: Content, participant: int, rng: Random) -> bytes:
    keys = [address for address, key in content.keys.items() if key.participant == participant]
    return rng.choice(keys) if keys else rng.randbytes(20)


def _by(record: RecordShown, participant: int, key: bytes) -> RecordShown:
    return replace(record, participant=participant, data=record.data[:12] + key + record.data[32:])


def _subjects(record: RecordShown) -> tuple[bytes, ...]:
    return entry_of(record).histories


def _who_else_may(content: Content, record: RecordShown) -> set[int]:
    """Other participants by whom the verifier takes the record: a lot is released by who quarantined it as well as by
    its custodian; an assignment is cancelled by the buyer where the coordinator is gone, as no proof shows."""
    if record.kind == "LotReleased":
        kinds: tuple[str, ...] = ("CertificateIssued", "LotQuarantined")
    elif record.kind == "AssignmentCancelled":
        kinds = ("OrderPlaced",)
    else:
        return set()
    subjects = set(_subjects(record))
    found = [one for one in content.bundle.records if one.kind in kinds]
    return {one.participant for one in found if subjects.intersection(_subjects(one))}


@changing(Step.REPLAY)
def another_actor(content: Content, rng: Random) -> bool | None:
    """Recorded by another participant, under that participant's own key."""
    record = _of(content, rng, *_ACTORS)
    if record is None:
        return False
    may = {record.participant, *_who_else_may(content, record)}
    other = rng.choice([one for one in content.participants if one not in may])
    content.put(_by(record, other, _key_of(content, other, rng)))
    return None


@changing(Step.REPLAY)
def another_key(content: Content, rng: Random) -> None:
    """Recorded under the key of another participant, or before the key was added, or after it was revoked."""
    record = rng.choice([one for one in content.bundle.records if one.participant])  # the owner's key is not proved
    key = record.data[12:32]
    known = content.keys[key]
    choice = rng.randrange(3)
    if choice == 0:
        content.keys[key] = replace(known, participant=known.participant + rng.randrange(1, 2**20))
    elif choice == 1:
        content.keys[key] = replace(known, added_at=record.block_time + rng.randrange(1, 10**6))
    else:
        content.keys[key] = replace(known, revoked_at=record.block_time - rng.randrange(1, 10**6))


@changing(Step.REPLAY)
def origin_dropped(content: Content, rng: Random) -> bool | None:
    """The record that made a lot or placed an order is missing."""
    record = _of(content, rng, *_ORIGINS)
    if record is None:
        return False
    content.drop(record.sequence)
    content.time += rng.randrange(10**6)
    return None


@changing(Step.REPLAY)
def history_dropped(content: Content, rng: Random) -> bool | None:
    """The history of an ancestor, an order, a box or a part is missing, with all records that occur only in it."""
    gone = rng.choice(content.bundle.histories)
    left = tuple(one for one in content.bundle.histories if one is not gone)
    named = {link for one in left for link in one.records}
    records = tuple(one for one in content.bundle.records if one.sequence in named)
    identities = content.bundle.identities
    content.change(histories=left, records=records, identities=identities)
    content.time += rng.randrange(10**6)
    return None


@changing(Step.REPLAY)
def history_more(content: Content, rng: Random) -> None:
    """The history of a lot that is unrelated to the parts is added."""
    model = next(one for one in content.bundle.records if one.kind == "LotReceived")
    name = rng.randbytes(32)
    sequence = content.bundle.records[-1].sequence + rng.randrange(1, 1000)
    made = replace(with_fields(model, histories=(name,)), sequence=sequence, block_time=content.time)
    histories = (*content.bundle.histories, HistoryShown(name, ()))
    content.change(histories=tuple(sorted(histories, key=lambda one: one.subject)))
    content.append(made, name)


@changing(Step.REPLAY)
def again(content: Content, rng: Random) -> bool | None:
    """A record is repeated at the end of its history."""
    record = _of(content, rng, *_ONCE)
    if record is None:
        return False
    sequence = content.bundle.records[-1].sequence + rng.randrange(1, 10**6)
    repeated = replace(record, sequence=sequence, block_time=content.time)
    content.append(repeated, *_subjects(record))
    return None


@changing(Step.REPLAY)
def time_runs_back(content: Content, rng: Random) -> bool | None:
    record = rng.choice(content.bundle.records)
    earlier = [one for one in content.bundle.records if one.sequence < record.sequence]
    if earlier and rng.random() < 0.7:
        before = earlier[-1].block_time
        content.put(replace(record, block_time=before - rng.randrange(1, 10**6)))
    else:
        content.put(replace(record, block_time=content.time + rng.randrange(1, 10**6)))
    return None


@changing(Step.REPLAY)
def more_than_there_is(content: Content, rng: Random) -> bool | None:
    """More is taken, scrapped or made than a lot holds, or nothing."""
    record = _of(content, rng, "LotScrapped", "LotsTransformed", "LotReceived")
    if record is None:
        return False
    amount = rng.choice([0, rng.randrange(10**6, 2**40)])
    if record.kind == "LotsTransformed":
        _unbalance(content, record, rng, amount)
    else:
        content.put(with_fields(record, quantity=0 if record.kind == "LotReceived" else amount))
    return None


def _unbalance(content: Content, record: RecordShown, rng: Random, amount: int) -> None:
    side, change = rng.choice(["inputs", "outputs"]), event_in(record, LotsTransformed).transformation
    items = list(getattr(change, side))
    # As much as its maker says may come out in a third unit: by-products are not conserved (ILots.sol).
    at = rng.choice(
        [
            place
            for place, item in enumerate(items)
            if not amount or side == "inputs" or item.unit in (change.unit, change.output_unit)
        ]
    )
    items[at] = changed(items[at], quantity=amount)
    _put_change(content, record, {side: tuple(items)})


def _put_change(content: Content, record: RecordShown, members: dict[str, object]) -> None:
    entry, event = entry_of(record), event_in(record, LotsTransformed)
    event = changed(event, transformation=changed(event.transformation, **members))
    content.put(replace(record, data=encode_event(event, entry.key, entry.histories)))


@changing(Step.REPLAY)
def unbalanced(content: Content, rng: Random) -> bool | None:
    """A loss or yield that does not match the quantities, another unit than the lots', or a kind that does not
    match."""
    record = _of(content, rng, "LotsTransformed")
    if record is None:
        return False
    change = event_in(record, LotsTransformed).transformation
    members: dict[str, object] = rng.choice(
        [
            {"loss": change.loss + rng.randrange(1, 2**30)},
            {"yield_in": change.yield_in + rng.randrange(1, 2**30)},
            {"yield_out": change.yield_out + rng.randrange(1, 2**30)},
            {"yield_out": 0},
            {"yield_in": 0},
            {"unit": rng.randbytes(2) + b"\1"},
            {"output_unit": bytes(3)},
            {"kind": rng.randrange(4, 256)},
        ]
    )
    _put_change(content, record, members)
    return None


@changing(Step.REPLAY)
def another_order(content: Content, rng: Random) -> bool | None:
    """Made or certified under another order than the lot's."""
    record = _of(content, rng, "LotsTransformed", "CertificateIssued", "LotCommissioned")
    if record is None:
        return False
    if record.kind == "LotsTransformed":
        _put_change(content, record, {"order": rng.randbytes(32)})
        return None
    order = rng.choice([rng.randbytes(32), bytes(32)])
    if record.kind == "CertificateIssued":
        lot = event_in(record, CertificateIssued).statement.items[0].lot
        content.put(with_fields(record, items=(Item(lot, order),)))
    else:
        content.put(with_fields(record, order=order))
    return None


@changing(Step.REPLAY)
def another_output(content: Content, rng: Random) -> bool | None:
    """The outputs' identifiers are not the maker's, or the inputs do not match the histories."""
    record = _of(content, rng, "LotsTransformed")
    if record is None:
        return False
    outputs = list(event_in(record, LotsTransformed).transformation.outputs)
    at = rng.randrange(len(outputs))
    outputs[at] = changed(outputs[at], identifier_hash=rng.randbytes(32))
    _put_change(content, record, {"outputs": tuple(outputs)})
    return None


@changing(Step.REPLAY)
def another_number(content: Content, rng: Random) -> bool | None:
    """An assignment, certificate or proposal that is not the current one."""
    record = _of(
        content, rng, "AssignmentAccepted", "AssignmentDeclined", "AssignmentStarted", "AssignmentFinished",
        "AssignmentCancelled", "LotCommissioned", "CertificateRevoked", "RevisionAccepted",
        "CertificateUpheld", "OpeningDemanded",
    )  # fmt: skip
    if record is None:
        return False
    certificates = dict.fromkeys(("CertificateRevoked", "CertificateUpheld", "OpeningDemanded"), "certificate")
    name = {**certificates, "RevisionAccepted": "proposal"}
    member = name.get(record.kind, "assignment")
    number: int = getattr(entry_of(record).event, member)
    content.put(with_fields(record, **{member: rng.choice([number + rng.randrange(1000, 2**30), 0])}))
    return None


@changing(Step.REPLAY)
def another_revision(content: Content, rng: Random) -> bool | None:
    """Terms are accepted that were not proposed."""
    record = _of(content, rng, "RevisionAccepted")
    if record is None:
        return False
    member, value = rng.choice(
        [("due_at", rng.randrange(2**40)), ("claims_root", rng.randbytes(32)), ("operations", rng.randrange(2, 99))]
    )
    content.put(with_fields(record, **{member: value}))
    return None


@changing(Step.REPLAY)
def impossible_terms(content: Content, rng: Random) -> bool | None:
    record = _of(content, rng, "OrderPlaced", "RevisionProposed")
    if record is None:
        return False
    coordinator = next(
        event_in(one, OrderPlaced).terms.coordinator for one in content.bundle.records if one.kind == "OrderPlaced"
    )
    gates = [(Gate(0, 1),), (Gate(coordinator),), (Gate(2), Gate(1)), (Gate(3), Gate(3, 1))]
    member, value = rng.choice(
        [("operations", 0), ("operations", rng.randrange(65, 2**16)), ("gates", rng.choice(gates))]
    )
    content.put(with_fields(record, **{member: value}))
    content.time += rng.randrange(10**6)
    return None


@changing(Step.REPLAY)
def another_machine(content: Content, rng: Random) -> bool | None:
    """A machine that belongs to somebody else or was retired, or evidence from another machine."""
    record = _of(content, rng, "AssignmentProposed")
    if record is None:
        return False
    number = event_in(record, AssignmentProposed).machine
    known = content.machines[number]
    if rng.random() < 0.5:
        content.machines[number] = replace(known, owner=known.owner + rng.randrange(1, 2**20))
    else:
        content.machines[number] = replace(known, retired_at=record.block_time - rng.randrange(1, 10**6))
    return None


@changing(Step.REPLAY)
def another_stream(content: Content, rng: Random) -> bool | None:
    """A stream shorter than what was certified, of another machine, or with another root."""
    record = _of(content, rng, "CertificateIssued", "AssignmentFinished")
    if record is None:
        return False
    event = entry_of(record).event
    leaf = event.leaf()
    assert leaf is not None
    least, known = event.anchor_size if isinstance(event, CertificateIssued) else leaf.index + 1, leaf.stream
    content.streams[known] = replace(content.streams[known], size=rng.randrange(least), root=rng.randbytes(32))
    return None


@changing(Step.REPLAY)
def another_model(content: Content, rng: Random) -> bool | None:
    """A model that was not approved, or was retired or withdrawn earlier."""
    record = _of(content, rng, "CertificateIssued")
    if record is None:
        return False
    number = event_in(record, CertificateIssued).statement.model
    known = content.models[number]
    if rng.random() < 0.3:
        content.models[number] = replace(known, state=ModelState.REGISTERED, defective_since=rng.randrange(2**40))
        return None
    at = record.block_time - rng.randrange(1, 10**6)
    if rng.random() < 0.4:
        content.models[number] = replace(known, state=ModelState.RETIRED, retired_at=at)
    else:
        content.models[number] = replace(known, state=ModelState.WITHDRAWN, withdrawn_at=at)
    return None


@changing(Step.REPLAY)
def impossible_certificate(content: Content, rng: Random) -> bool | None:
    record = _of(content, rng, "CertificateIssued")
    if record is None:
        return False
    member, value = rng.choice(
        [
            ("items", (Item(rng.randbytes(32), bytes(32)),)),
            ("verdict", rng.choice([0, rng.randrange(3, 256)])),
            ("expires_at", rng.randrange(record.block_time + 1)),
            ("inference_digest", bytes(32)),
            ("model", rng.randrange(1000, 2**40)),
            ("stream", rng.randbytes(32)),
            ("leaf_index", rng.randrange(1000, 2**40)),
            ("anchor_size", rng.choice([0, rng.randrange(1000, 2**40)])),
        ]
    )
    content.put(with_fields(record, **{member: value}))
    return None


@changing(Step.REPLAY)
def impossible_opening(content: Content, rng: Random) -> bool | None:
    """A demand with another deadline, an opening after it, a model executed whose code is not on the chain, or a
    refutation of a certificate that was upheld."""
    record = _of(content, rng, "OpeningDemanded", "CertificateUpheld")
    if record is None:
        return False
    if record.kind == "OpeningDemanded":
        deadline = event_in(record, OpeningDemanded).deadline
        content.put(
            with_fields(record, deadline=rng.choice([0, deadline + rng.randrange(1, 10**6), record.block_time]))
        )
        return None
    if rng.random() < 0.3:
        content.put(with_fields(record, executed=True))
        content.time += rng.randrange(10**6)
        return None
    sequence = content.bundle.records[-1].sequence + rng.randrange(1, 10**6)
    entry, number = entry_of(record), event_in(record, CertificateUpheld).certificate
    data = encode_event(CertificateRefuted(number, Verdict.NONE), entry.key, entry.histories)
    refuted = replace(record, kind="CertificateRefuted", data=data)
    if rng.random() < 0.5:
        model = event_in(content.record(number), CertificateIssued).statement.model
        content.models[model] = replace(content.models[model], code=rng.randbytes(20))  # then the first was executed
    content.append(replace(refuted, sequence=sequence, block_time=content.time), *_subjects(record))
    return None


@changing(Step.REPLAY)
def another_giver(content: Content, rng: Random) -> bool | None:
    """Custody is reclaimed from a participant that did not have it, or offered to an unknown participant; or another
    offer is accepted than the one that stands."""
    record = _of(content, rng, "CustodyAccepted", "CustodyOffered", "CustodyReclaimed")
    if record is None:
        return False
    member = {"CustodyOffered": "to", "CustodyReclaimed": "from_"}.get(record.kind, "offer")
    content.put(with_fields(record, **{member: rng.choice([record.participant, rng.randrange(1000, 2**32)])}))
    return None


@changing(Step.REPLAY)
def packed_wrongly(content: Content, rng: Random) -> bool | None:
    """Lots are unpacked from a box that does not contain them, or in another order."""
    record = _of(content, rng, "LotsUnpacked")
    if record is None:
        return False
    parent, *children = _subjects(record)
    more = rng.choice([tuple(sorted((*children, rng.randbytes(32)))), (*children, rng.randbytes(4).rjust(32, b"\0"))])
    histories = (parent, *more)
    content.put(with_fields(record, histories=histories))
    return None


@changing(Step.REPLAY)
def proved_for_nothing(content: Content, rng: Random) -> None:
    """Entries of the registry that no record refers to are added."""
    number = rng.randrange(1000, 2**30)
    if rng.random() < 0.5:
        content.participants[number] = content.participants[content.bundle.participants[0]]
        content.change(participants=tuple(sorted((*content.bundle.participants, number))))
    else:
        key = rng.randbytes(20)
        content.keys[key] = content.keys[content.bundle.keys[0]]
        content.change(keys=tuple(sorted((*content.bundle.keys, key))))


@changing(Step.REPLAY)
def not_proved(content: Content, rng: Random) -> None:
    """Entries that records refer to are missing, from the state and from the list."""
    name = rng.choice(["participants", "keys", "machines", "models", "streams"])
    table = getattr(content, name)
    gone = rng.choice(list(table))
    del table[gone]
    content.change(**{name: tuple(sorted(table))})
    content.time += rng.randrange(10**6)


@changing(Step.REPLAY)
def withheld_where_it_matters(content: Content, rng: Random) -> bool | None:
    """A withheld record of a part, of an order, from before a lot was made, or from while it was packed or offered."""
    history = rng.choice(content.bundle.histories)
    at = 0
    if history.subject in content.bundle.parts or any(
        isinstance(one, int) and content.record(one).kind == "OrderPlaced" for one in history.records
    ):
        at = rng.randrange(len(history.records) + 1)
    withheld = WithheldRecord("LotsTransformed", rng.randbytes(32))
    records = (*history.records[:at], withheld, *history.records[at:])
    others = (replace(one, records=records) if one is history else one for one in content.bundle.histories)
    content.change(histories=tuple(others))
    return None


@changing(Step.REPLAY)
def withheld_more_than_there_is(content: Content, rng: Random) -> bool | None:
    """More withheld transformations than the lot has pieces to give."""
    lots = [one for one in content.bundle.histories if one.subject not in content.bundle.parts]
    history = rng.choice(lots)
    first = history.records[0]
    if not isinstance(first, int) or content.record(first).kind == "OrderPlaced":
        return False
    more = tuple(WithheldRecord("LotsTransformed", rng.randbytes(32)) for _ in range(rng.randrange(120, 200)))
    others = (
        replace(one, records=(*history.records, *more)) if one is history else one for one in content.bundle.histories
    )
    content.change(histories=tuple(others))
    return None


@changing(Step.REPLAY)
def made_of_withheld(content: Content, rng: Random) -> bool | None:
    """The transformation that made an ancestor is withheld everywhere."""
    made = _of(content, rng, "LotsTransformed")
    if made is None:
        return False
    withheld = WithheldRecord(made.kind, inner_of_shown(made))
    content.change(
        records=tuple(one for one in content.bundle.records if one is not made),
        histories=tuple(
            replace(one, records=tuple(withheld if link == made.sequence else link for link in one.records))
            for one in content.bundle.histories
        ),
    )
    content.time += rng.randrange(10**6)
    return None
