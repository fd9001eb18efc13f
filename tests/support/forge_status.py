"""Forgeries for step 11: the status of a part is bad, and everything else is in order."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from millmark.ledger.bundle import RecordShown
from millmark.ledger.events.certificates import CertificateIssued, CertificateUpheld, OpeningDemanded
from millmark.ledger.events.lots import LotCommissioned, LotReceived, LotsTransformed
from millmark.ledger.records import ModelState
from millmark.ledger.verify import Step
from tests.support.bundle_content import Content, copy_content, entry_of, event_in, publish_bytes, with_fields
from tests.support.event_data import encode_event, event_of
from tests.support.forging import DAY_S, Forged, changing, forgery

_TAKEN = ("CustodyAccepted", "CustodyAcceptedInPart", "CustodyReclaimed")


def _latest(content: Content, rng: Random) -> int | None:
    """The latest certificate of a random part; None if it has none, or the buyer took the part whatever it says."""
    part = rng.choice(content.bundle.parts)
    shown = [content.record(one) for one in content.history(part).records if isinstance(one, int)]
    if any(one.kind == "GateWaived" for one in shown):
        return None
    issued = [
        one
        for one in content.history(part).records
        if isinstance(one, int) and content.record(one).kind == "CertificateIssued"
    ]
    return issued[-1] if issued else None


@forgery(Step.STATUS)
def expired(content: Content, rng: Random) -> Forged | None:
    """The certificate expired at the proof block, or since."""
    latest = _latest(content, rng)
    if latest is None:
        return None
    changed = copy_content(content)
    end = changed.bundle.records[-1].block_time + rng.randrange(2, 10**6)
    changed.put(with_fields(changed.record(latest), expires_at=end))
    changed.time = end + rng.randrange(-1, 1) * rng.randrange(10**5)
    changed.time = max(changed.time, changed.bundle.records[-1].block_time)
    data, trust = publish_bytes(changed)
    return Forged(data, trust, max(end, changed.time) + rng.randrange(20 * DAY_S))


@changing(Step.STATUS)
def withdrawn(content: Content, rng: Random) -> bool | None:
    """The model was withdrawn after the last certificate."""
    latest = _latest(content, rng)
    if latest is None:
        return False
    model = event_in(content.record(latest), CertificateIssued).statement.model
    last = content.bundle.records[-1].block_time
    content.models[model] = replace(
        content.models[model],
        state=ModelState.WITHDRAWN,
        withdrawn_at=last + rng.randrange(10**6),
        defective_since=content.record(latest).block_time,
    )
    return None


@changing(Step.STATUS)
def revoked(content: Content, rng: Random) -> bool | None:
    """The last record revokes the certificate."""
    latest = _latest(content, rng)
    if latest is None:
        return False
    _append(content, rng, latest, "CertificateRevoked", reason_root=rng.randbytes(32))
    return None


@changing(Step.STATUS)
def failed(content: Content, rng: Random) -> bool | None:
    """A failing certificate follows the passing one: the latest counts."""
    latest = _latest(content, rng)
    if latest is None:
        return False
    record = content.record(latest)
    part = entry_of(record).histories[0]
    sequence = content.bundle.records[-1].sequence + rng.randrange(1, 10**6)
    again = with_fields(record, verdict=2, inference_digest=rng.randbytes(32))
    content.append(replace(again, sequence=sequence, block_time=content.time), part)
    return None


@changing(Step.STATUS)
def refuted(content: Content, rng: Random) -> bool | None:
    """The last record refutes the certificate by its opening."""
    latest = _latest(content, rng)
    if latest is None or latest in _settled(content, CertificateUpheld):
        return False
    _append(content, rng, latest, "CertificateRefuted", executed=0)
    return None


@forgery(Step.STATUS)
def unopened(content: Content, rng: Random) -> Forged | None:
    """An opening was demanded and its deadline passed, at the proof block or since."""
    latest = _latest(content, rng)
    if latest is None or latest in _settled(content, CertificateUpheld, OpeningDemanded):
        return None
    changed = copy_content(content)
    deadline = changed.time + 7 * DAY_S
    _append(changed, rng, latest, "OpeningDemanded", deadline=deadline)
    changed.time += rng.randrange(14 * DAY_S)
    data, trust = publish_bytes(changed)
    return Forged(data, trust, max(deadline, changed.time) + rng.randrange(10 * DAY_S))


def _settled(content: Content, *kinds: type[CertificateUpheld | OpeningDemanded]) -> set[int]:
    """The certificates that records of these kinds concern."""
    events = [entry_of(one).event for one in content.bundle.records]
    return {one.certificate for one in events if isinstance(one, kinds)}


def _append(content: Content, rng: Random, certificate: int, kind: str, **members: int | bytes) -> None:
    """Appends a record about a certificate, by its issuer, to the lot's history."""
    issued = content.record(certificate)
    entry = entry_of(issued)
    part = entry.histories[0]
    sequence = content.bundle.records[-1].sequence + rng.randrange(1, 10**6)
    data = encode_event(event_of(kind, certificate=certificate, **members), entry.key, (part,))
    content.append(RecordShown(kind, sequence, issued.participant, content.time, data), part)


@changing(Step.STATUS)
def quarantined(content: Content, rng: Random) -> bool | None:
    """The last record quarantines the part; recorded by its holder."""
    part = rng.choice(content.bundle.parts)
    return _on_own(content, rng, part, "LotQuarantined", reason_root=rng.randbytes(32))


@changing(Step.STATUS)
def scrapped(content: Content, rng: Random) -> bool | None:
    """The last record scraps the whole lot, possibly after a quarantine, which it ends."""
    part = rng.choice(content.bundle.parts)
    if rng.random() < 0.5 and _on_own(content, rng, part, "LotQuarantined", reason_root=bytes(32)) is False:
        return False
    made = next(entry for one in content.bundle.records if part in (entry := entry_of(one)).histories)
    if isinstance(made.event, LotsTransformed):
        place = made.event.outputs(made.histories).index(part)
        quantity = made.event.transformation.outputs[place].quantity
    else:
        assert isinstance(made.event, LotCommissioned | LotReceived)
        quantity = made.event.quantity
    return _on_own(content, rng, part, "LotScrapped", quantity=quantity, disposition=0, reason_root=rng.randbytes(32))


def _on_own(content: Content, rng: Random, part: bytes, kind: str, **members: int | bytes) -> bool | None:
    """Appends a record about a part by its holder. Returns False if the part is packed."""
    holder = _holder(content, part)
    if holder is None:
        return False
    by = next(one for one in content.bundle.records if one.participant == holder)
    key = entry_of(by).key
    content.keys[key] = replace(content.keys[key], revoked_at=0)
    sequence = content.bundle.records[-1].sequence + rng.randrange(1, 10**6)
    data = encode_event(event_of(kind, **members), key, (part,))
    content.append(RecordShown(kind, sequence, holder, content.time, data), part)
    return None


def _holder(content: Content, part: bytes) -> int | None:
    """The participant with custody; None if the part is packed."""
    holder: int | None = None
    for number in content.history(part).records:
        record = content.record(number) if isinstance(number, int) else None
        if record is None:
            continue
        if record.kind == "LotsPacked" and entry_of(record).histories[0] != part:
            holder = None
        elif record.kind in ("LotCommissioned", "LotReceived", "LotsUnpacked", *_TAKEN) or (
            record.kind == "LotsTransformed" and number == content.history(part).records[0]
        ):
            holder = record.participant
    return holder
