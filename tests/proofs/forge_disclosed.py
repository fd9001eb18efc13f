"""Forgeries for steps 7 to 10, disclosed data that do not match the ledger's commitments; and for step 11: the status
of a part is bad, and everything else is in order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random

from millmark.ledger.bundle import EvidenceEntryShown, IdentityShown, RecordShown
from millmark.ledger.claims import Field
from millmark.ledger.events.certificates import CertificateIssued, CertificateUpheld, OpeningDemanded
from millmark.ledger.events.lots import LotCommissioned, LotReceived, LotsTransformed
from millmark.ledger.evidence import LeafKind
from millmark.ledger.ids import SubjectKind
from millmark.ledger.names import NAME_PROOF_BYTES, NameKey, build_alpha, name_key_hash, subjects_of
from millmark.ledger.records import ModelState
from millmark.ledger.slots import NameKeySlots
from millmark.ledger.verify import Step
from millmark.ledger.verify._proofs import subject_of
from tests.proofs.forging import DAY_S, Forged, changing, forgery
from tests.support.bundle_content import Content, copy_content, entry_of, event_in, publish_bytes, with_fields
from tests.support.event_data import encode_event, event_of

# Step 7


@changing(Step.IDENTIFIERS)
def another_name(content: Content, rng: Random) -> None:
    """Another identifier, creator or kind than the subject was made with."""
    at = rng.randrange(len(content.bundle.identities))
    old = content.bundle.identities[at]
    new = rng.choice(
        [
            replace(old, identifier=f"urn:example:{rng.randrange(10**12)}"),
            replace(old, creator=rng.randrange(1000, 2**32)),
            replace(old, kind=SubjectKind(old.kind % 4 + 1)),
        ]
    )
    _name(content, at, new)


@changing(Step.IDENTIFIERS)
def another_spelling(content: Content, rng: Random) -> None:
    """An identifier that is not canonical, recorded on the ledger in exactly that spelling."""
    spellings = ["URN:example:{}", "urn:EXAMPLE:{}", "urn:example:a%2f{}", "{}", "http://id.gs1.org/01/{}", "did:{}"]
    spelling = rng.choice(spellings).format(rng.randrange(10**9))
    place = rng.randrange(len(content.bundle.identities))
    _name(content, place, replace(content.bundle.identities[place], identifier=spelling))


@changing(Step.IDENTIFIERS)
def part_without_name(content: Content, rng: Random) -> None:
    parts = [place for place, one in enumerate(content.bundle.identities) if _is_part(content, one)]
    gone = rng.choice(parts)
    content.change(identities=tuple(one for place, one in enumerate(content.bundle.identities) if place != gone))
    content.time += rng.randrange(10**6)


@changing(Step.IDENTIFIERS)
def stranger(content: Content, rng: Random) -> None:
    """An identity whose subject the bundle does not prove."""
    kind = rng.choice([SubjectKind.ORDER, SubjectKind.LOT, SubjectKind.STREAM, SubjectKind.MACHINE])
    name = f"urn:example:{rng.randrange(10**12)}"
    _name(content, None, IdentityShown(kind, rng.randrange(1, 9), name, (rng.randbytes(NAME_PROOF_BYTES),)))


@changing(Step.IDENTIFIERS)
def altered_proof(content: Content, rng: Random) -> None:
    """One bit of a name key, of Gamma, of c or of s differs."""
    at, bit = rng.randrange(len(content.bundle.identities)), rng.randrange(8 * NAME_PROOF_BYTES)
    old = content.bundle.identities[at]
    flipped = int.from_bytes(old.proofs[-1], "big") ^ 1 << bit
    _name(content, at, replace(old, proofs=(*old.proofs[:-1], flipped.to_bytes(NAME_PROOF_BYTES, "big"))))


@changing(Step.IDENTIFIERS)
def chosen_salt(content: Content, rng: Random) -> None:
    """A salt that its creator chose: by a key that is not the registered one, or by one registered only later."""
    at = rng.randrange(len(content.bundle.identities))
    old = content.bundle.identities[at]
    proof = _prove(content, old, rng)
    if rng.random() < 0.5:
        content.name_keys[old.creator, 1] = _key_of(proof, content.time)
    _name(content, at, replace(old, proofs=(proof,)))


@changing(Step.IDENTIFIERS)
def second_subject(content: Content, rng: Random) -> None:
    """An identifier that its creator had recorded before, under an earlier name key."""
    one = with_earlier_key(content, rng.choice(content.bundle.identities), rng)
    content.taken[subjects_of(one.kind, one.creator, one.identifier, one.proofs)[0]] = True


@changing(Step.IDENTIFIERS)
def earlier_key_left_out(content: Content, rng: Random) -> None:
    """The proof under an earlier name key is missing, or is not one."""
    one = with_earlier_key(content, rng.choice(content.bundle.identities), rng)
    wrong = (one.proofs[1:], (rng.randbytes(NAME_PROOF_BYTES), one.proofs[1]), one.proofs[::-1])
    _name(content, content.bundle.identities.index(one), replace(one, proofs=rng.choice(wrong)))


@changing(Step.IDENTIFIERS)
def replaced_key(content: Content, rng: Random) -> bool | None:
    """A subject that was recorded after its creator had replaced the name key that made its salt."""
    fitting = [one for one in content.bundle.identities if one.kind is not SubjectKind.STREAM]
    if not fitting:
        return False
    content.name_keys[rng.choice(fitting).creator, 1] = _key_of(rng.randbytes(NAME_PROOF_BYTES), 1)
    return None


def with_earlier_key(content: Content, one: IdentityShown, rng: Random) -> IdentityShown:
    """Lets the creator of an identity have had an earlier name key, under which nothing is recorded; all its names are
    proved under it, too. Returns the identity as it is then."""
    seed, creator = rng.randbytes(32), one.creator
    earlier = {(creator, at + 1): key for (of, at), key in content.name_keys.items() if of == creator}
    content.name_keys |= earlier | {(creator, 0): _key_of(NameKey(seed).public_key, 1)}
    named = [
        replace(each, proofs=(NameKey(seed).prove(_alpha(content, each)), *each.proofs))
        if each.creator == creator
        else each
        for each in content.bundle.identities
    ]
    place = content.bundle.identities.index(one)
    content.change(identities=tuple(named))
    return named[place]


def _prove(content: Content, identity: IdentityShown, rng: Random) -> bytes:
    """A proof of the identity's name under a key that its creator has made."""
    return NameKey(rng.randbytes(32)).prove(_alpha(content, identity))


def _alpha(content: Content, identity: IdentityShown) -> bytes:
    return build_alpha(content.bundle, identity.kind, identity.creator, identity.identifier)


def _key_of(proof: bytes, set_at: int) -> NameKeySlots:
    return NameKeySlots(name_key_hash(proof[:33]), set_at, 1)


def _name(content: Content, place: int | None, new: IdentityShown) -> None:
    kept = [one for at, one in enumerate(content.bundle.identities) if at != place]
    content.change(identities=tuple(sorted((*kept, new))))


def _is_part(content: Content, identity: IdentityShown) -> bool:
    return subject_of(identity) in content.bundle.parts


# Step 8


@changing(Step.CLAIMS)
def another_value(content: Content, rng: Random) -> bool | None:
    """Another value, salt, path or proof than the document has."""
    if not content.bundle.claims:
        return False
    at = rng.randrange(len(content.bundle.claims))
    shown = content.bundle.claims[at].disclosure
    place = rng.randrange(len(shown.shown))
    number, field = shown.shown[place]
    changed = replace(field, value=rng.choice([rng.randrange(10**9), f"x{rng.random()}", None, [], rng.random()]))
    if rng.random() < 0.3:
        changed = Field(field.value, rng.randbytes(32))
    items = (*shown.shown[:place], (number, changed), *shown.shown[place + 1 :])
    disclosure = replace(shown, shown=items)
    if rng.random() < 0.3:
        disclosure = replace(shown, paths=((*shown.paths[0][:-1], f"a{rng.randrange(10**9)}"), *shown.paths[1:]))
        if list(disclosure.paths) != sorted(disclosure.paths):
            return False
    elif rng.random() < 0.3:
        disclosure = replace(shown, proof=(*shown.proof, rng.randbytes(32)))
    elif rng.random() < 0.4 and len(shown.shown) > 1:
        disclosure = replace(shown, shown=shown.shown[:place] + shown.shown[place + 1 :])
    _claim(content, at, replace(content.bundle.claims[at], disclosure=disclosure))
    return None


@changing(Step.CLAIMS)
def of_another_record(content: Content, rng: Random) -> bool | None:
    """A genuine document, but of another record, or of a root that the record does not have."""
    if not content.bundle.claims:
        return False
    at = rng.randrange(len(content.bundle.claims))
    old = content.bundle.claims[at]
    number = rng.choice([rng.choice(content.bundle.records).sequence, rng.randrange(10**6, 2**40)])
    new = rng.choice([replace(old, record=number), replace(old, root=old.root + rng.randrange(1, 9))])
    taken = {(one.record, one.root) for one in content.bundle.claims}
    if (new.record, new.root) in taken or _committed(content, new.record, new.root) == _committed(
        content, old.record, old.root
    ):
        return False
    _claim(content, at, new)
    content.time += rng.randrange(10**6)
    return None


def _committed(content: Content, record: int, root: int) -> bytes | None:
    found = [one for one in content.bundle.records if one.sequence == record]
    roots: Sequence[bytes] = entry_of(found[0]).event.roots() if found else ()
    return roots[root] if root < len(roots) else None


def _claim(content: Content, place: int, new: object) -> None:
    kept = [one for at, one in enumerate(content.bundle.claims) if at != place]
    content.change(claims=tuple(sorted((*kept, new), key=lambda one: (one.record, one.root))))  # type: ignore[attr-defined]  # claims


@changing(Step.CLAIMS)
def another_root(content: Content, rng: Random) -> bool | None:
    """The ledger commits to another document."""
    if not content.bundle.claims:
        return False
    claims = rng.choice([one for one in content.bundle.claims if one.root == 0])
    record = content.record(claims.record)
    if record.kind in ("RevisionProposed", "RevisionAccepted"):
        return False
    forged = None
    for root in ("claims_root", "reason_root"):
        with suppress(TypeError):  # the record has the other one
            forged = forged or with_fields(record, **{root: rng.randbytes(32)})
    if forged is None:
        return False
    content.put(forged)
    return None


# Step 9


@changing(Step.EVIDENCE)
def another_entry(content: Content, rng: Random) -> bool | None:
    """Another measurement, salt or proof than the stream has."""
    if not content.bundle.evidence:
        return False
    at = rng.randrange(len(content.bundle.evidence))
    old = content.bundle.evidence[at]
    choice = rng.randrange(7)
    new = old
    if choice == 0 and old.shown is not None:
        new = replace(old, shown=EvidenceEntryShown(LeafKind.EVENT, old.shown.salt, {"noise": rng.randrange(10**9)}))
    elif choice == 1 and old.shown is not None:
        new = replace(old, shown=EvidenceEntryShown(old.shown.kind, rng.randbytes(32), old.shown.entry))
    elif choice == 2:
        new = replace(old, inclusion=_spoilt(old.inclusion, rng))
    elif choice == 3:
        new = replace(old, consistency=_spoilt(old.consistency, rng))
    elif choice == 4 and old.shown is not None:
        kind = rng.choice([one for one in LeafKind if one is not old.shown.kind])
        new = replace(old, shown=replace(old.shown, kind=kind))
    elif choice == 5:
        new = replace(old, record=rng.choice([rng.randrange(10**6, 2**40), content.bundle.records[0].sequence]))
    else:
        other = rng.choice(content.bundle.evidence)
        if other is old:
            return False
        new = replace(old, inclusion=other.inclusion, consistency=other.consistency, shown=other.shown)
    if new == old:
        return False
    kept = [one for place, one in enumerate(content.bundle.evidence) if place != at]
    content.change(evidence=tuple(sorted((*kept, new), key=lambda one: one.record)))
    content.time += rng.randrange(10**6)
    return None


def _spoilt(proof: tuple[bytes, ...], rng: Random) -> tuple[bytes, ...]:
    """The proof with a hash added, removed or replaced, or with two hashes swapped."""
    if not proof or rng.random() < 0.3:
        return (*proof, rng.randbytes(32))
    at = rng.randrange(len(proof))
    return rng.choice([proof[:at] + proof[at + 1 :], (*proof[:at], rng.randbytes(32), *proof[at + 1 :])])


@changing(Step.EVIDENCE)
def rewritten_stream(content: Content, rng: Random) -> bool | None:
    """The latest anchor is of a log that does not extend the certified one."""
    shown = {one.record for one in content.bundle.evidence}
    records = [one for one in content.bundle.records if one.sequence in shown and one.kind == "CertificateIssued"]
    if not records:
        return False
    stream = event_in(rng.choice(records), CertificateIssued).statement.stream
    known = content.streams[stream]
    content.streams[stream] = replace(known, size=known.size + rng.randrange(1, 99), root=rng.randbytes(32))
    return None


# Step 10


@changing(Step.INFERENCES)
def another_inference(content: Content, rng: Random) -> bool | None:
    """Another input, salt, logits or certificate; among them one input for two lots."""
    if not content.bundle.inferences:
        return False
    at = rng.randrange(len(content.bundle.inferences))
    old = content.bundle.inferences[at]
    changed = bytearray(old.window)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    others = [one for one in content.bundle.inferences if one is not old]
    new = rng.choice(
        [
            replace(old, window=bytes(changed)),
            replace(old, window=old.window + rng.randbytes(8 * rng.randrange(1, 9))),
            replace(old, salt=rng.randbytes(32)),
            replace(old, logits=(old.logits[0] + rng.randrange(1, 1000), *old.logits[1:])),
            replace(old, logits=(*old.logits, rng.randrange(-99, 99))),
            replace(old, logits=old.logits[1:]),
            replace(old, record=rng.choice([rng.randrange(10**6, 2**40), content.bundle.records[0].sequence])),
            replace(rng.choice(others), record=old.record) if others else replace(old, salt=rng.randbytes(32)),
        ]
    )
    if new == old:
        return False
    kept = [one for place, one in enumerate(content.bundle.inferences) if place != at]
    content.change(inferences=tuple(sorted((*kept, new), key=lambda one: one.record)))
    content.time += rng.randrange(10**6)
    return None


@changing(Step.INFERENCES)
def another_digest(content: Content, rng: Random) -> bool | None:
    """The certificate is about something else: another digest, model, measurement or lot, or another verdict."""
    if not content.bundle.inferences:
        return False
    record = content.record(rng.choice(content.bundle.inferences).record)
    model = event_in(record, CertificateIssued).statement.model
    if rng.random() < 0.4:
        content.models[model] = replace(content.models[model], digest=rng.randbytes(32))
    else:
        content.put(with_fields(record, inference_digest=rng.randbytes(32)))
    return None


_TAKEN = ("CustodyAccepted", "CustodyReclaimed")


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
