"""Forgeries for step 5: records that differ from those in the histories."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from millmark.ledger.bundle import HistoryShown, WithheldRecord
from millmark.ledger.canonical import keccak256
from millmark.ledger.events import HISTORY_EVENTS
from millmark.ledger.verify import Step
from tests.support.bundle_content import Content, head_of, inner_of_shown
from tests.support.forging import changing


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
