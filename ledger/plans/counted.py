"""Which of the offers received count: those that no rule of PLANS.md takes out. Everybody comes to the same set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.errors import ProofError
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.capability import Need, why_not_capable
from millmark.ledger.plans.file import Machine
from millmark.ledger.plans.grounds import OfferGround
from millmark.ledger.plans.offer import Offer, OfferWithdrawal, OpenedOffer
from millmark.ledger.plans.plan import Key


@dataclass(frozen=True, slots=True)
class Counted:
    """Offers that count, and why the others do not."""

    call: bytes
    """Digest of the call, 32 bytes."""
    offers: Mapping[bytes, Offer]
    """By leaf hash, ascending."""
    refused: Mapping[bytes, str]
    """Reason by leaf hash, in a few words: `expired when the call closed`."""
    unanchored: int
    """How many of both kinds, and of withdrawals, came without the proof that they are in an anchored tree."""


def count_offers(call: Call, machines: Sequence[Machine], received: Sequence[OpenedOffer]) -> Counted:
    """Sort offers and withdrawals, in any order and number, into those that count and those that do not."""
    digest = call.digest
    known = {item.machine: item for item in machines}
    needs = {(job.order, item.operation): item.need for job in call.jobs for item in job.operations}
    withdrawn = _withdrawn(call, digest, received)
    able: dict[tuple[int, Need], str] = {}
    counting: dict[bytes, OpenedOffer] = {}
    refused: dict[bytes, str] = {}
    for opened in received:
        offer = opened.entry
        if isinstance(offer, OfferWithdrawal):
            continue
        reason = _why_unusable(call, digest, offer, known, needs, able) or _why_untimely(call, opened)
        if not reason and opened.id in withdrawn:
            reason = OfferGround.WITHDRAWN.write()
        if reason:
            refused[opened.id] = reason
        else:
            counting[opened.id] = opened
    for twin in _find_doubled(counting):
        refused[twin] = OfferGround.DOUBLED.write()
        del counting[twin]
    offers = {key: entry for key in sorted(counting) if isinstance(entry := counting[key].entry, Offer)}
    return Counted(digest, offers, refused, sum(item.anchored is None for item in received))


def _withdrawn(call: Call, digest: bytes, received: Sequence[OpenedOffer]) -> frozenset[bytes]:
    """Offers that their owner took back in time; nobody but the owner of its stream can. What has no place in a stream
    anybody can write: it takes back no offer that has one."""
    streams = {opened.id: opened.anchored.stream for opened in received if opened.anchored is not None}
    taken_back = set()
    for opened in received:
        entry, place = opened.entry, opened.anchored
        if isinstance(entry, Offer) or entry.call != digest or _why_untimely(call, opened):
            continue
        stream = streams.get(entry.offer)
        if stream is None or (place is not None and place.stream == stream):
            taken_back.add(entry.offer)
    return frozenset(taken_back)


def _why_unusable(
    call: Call,
    digest: bytes,
    offer: Offer,
    machines: Mapping[int, Machine],
    needs: Mapping[Key, Need],
    able: dict[tuple[int, Need], str],
) -> str:
    if offer.call != digest:
        return OfferGround.OTHER_CALL.write()
    if offer.until < call.closes:
        return OfferGround.EXPIRED.write()
    machine = machines.get(offer.machine)
    if machine is None:
        return OfferGround.MACHINE_UNKNOWN.write(machine=offer.machine)
    if machine.owner != offer.owner:
        return OfferGround.MACHINE_OF_OTHERS.write(machine=offer.machine)
    need = needs.get((offer.order, offer.operation))
    if need is None:
        return OfferGround.NOT_CALLED_FOR.write()
    key = offer.machine, need
    if key not in able:
        able[key] = why_not_capable(machine.capability, need)
    return OfferGround.MACHINE_INCAPABLE.write(machine=offer.machine, why=able[key]) if able[key] else ""


def _why_untimely(call: Call, opened: OpenedOffer) -> str:
    if (place := opened.anchored) is None:
        return ""
    if place.time >= call.closes:
        return OfferGround.LATE.write()
    try:
        opened.verify_anchored()
    except ProofError:
        return OfferGround.NOT_IN_TREE.write()
    return ""


def _find_doubled(counting: Mapping[bytes, OpenedOffer]) -> list[bytes]:
    """The offers that do not count beside others for the same operation on the same machine: all but the first one in
    the machine's stream, and all where that one is not known. An offer without a place in a stream, which anybody can
    write, takes nothing from those that have one."""
    groups: dict[tuple[bytes, int, int], list[OpenedOffer]] = defaultdict(list)
    for opened in counting.values():
        if isinstance(offer := opened.entry, Offer):
            groups[offer.order, offer.operation, offer.machine].append(opened)
    doubled: list[bytes] = []
    for group in groups.values():
        if len(group) > 1:
            doubled += _all_but_first(group)
    return doubled


def _all_but_first(group: Sequence[OpenedOffer]) -> list[bytes]:
    places = sorted((item.anchored.stream, item.anchored.leaf_index) for item in group if item.anchored is not None)
    if len({stream for stream, _ in places}) != 1:
        return [item.id for item in group]
    return [item.id for item in group if item.anchored is None or item.anchored.leaf_index != places[0][1]]
