"""Statements that a reader must not overlook, although they are not reasons to refuse the bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from millmark.ledger.bundle import EvidenceEntryShown
from millmark.ledger.canonical import to_hex
from millmark.ledger.events import Event
from millmark.ledger.events.certificates import CertificateIssued, CertificateUpheld, NoteRecorded, OpeningDemanded
from millmark.ledger.events.lots import GateWaived, LotReworked, LotsTransformed
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.evidence import LeafKind, build_window_commitment
from millmark.ledger.records import (
    CertificateState,
    CertificateStatus,
    LotState,
    NoteKind,
    Transformation,
    TransformationKind,
    Verdict,
)
from millmark.ledger.slots import KeySlots
from millmark.ledger.verify._footprints import judge_footprints
from millmark.ledger.verify._parts import is_work
from millmark.ledger.verify._state import Certificate, Entry, Lot, State
from millmark.ledger.verify._status import Verified, status_apart_from_rework, status_of
from millmark.ledger.verify.report import moment
from millmark.ledger.verify.statements import Model, Span, Statement, Unit, say

# Statements about measurements: used twice, older than the work, or not those of the lot.


def measurements(verified: Verified) -> Iterator[Statement]:
    """What is doubtful about the measurements that certificates and finished operations name."""
    yield from _same_digests(verified)
    yield from _same_measurements(verified)
    yield from _other_windows(verified)
    yield from _other_kinds(verified)
    ages = _Ages(verified)
    for lot in verified.state.lots.values():
        for certificate in lot.certificates:
            yield from ages.judge(lot, certificate)


def _same_digests(verified: Verified) -> Iterator[Statement]:
    """Certificates with the same inference digest. An inference is of one lot, so one of two was never inspected."""
    by_digest: dict[bytes, list[Certificate]] = {}
    for certificate in verified.state.certificates.values():
        if certificate.model:
            by_digest.setdefault(certificate.statement.inference_digest, []).append(certificate)
    for found in by_digest.values():
        if len({one.lot for one in found}) > 1:
            numbers = tuple(one.sequence for one in found)
            yield say("one_inference", None, numbers, certificates=numbers)


def _same_measurements(verified: Verified) -> Iterator[Statement]:
    """Entries of streams that several certificates or finished operations name."""
    by_leaf: dict[tuple[bytes, int], list[Entry[Event]]] = {}
    for entry in verified.entries:
        leaf = entry.event.leaf()
        if leaf is not None:
            by_leaf.setdefault((leaf.stream, leaf.index), []).append(entry)
    for (stream, index), found in by_leaf.items():
        if len(found) > 1 and not _is_one_work(verified, found):
            numbers = tuple(entry.sequence for entry in found)
            yield say("one_measurement", None, numbers, measured=numbers, stream=stream, index=index)


def _is_one_work(verified: Verified, entries: list[Entry[Event]]) -> bool:
    """Whether one is the operation that made the lots of the other, a certificate: then both may name the same."""
    if len(entries) != 2:
        return False
    finished = next((one.event for one in entries if isinstance(one.event, AssignmentFinished)), None)
    certified = next((one for one in entries if isinstance(one.event, CertificateIssued)), None)
    if finished is None or certified is None:
        return False
    lots = [verified.state.lots.get(name) for name in certified.histories]
    return all(lot is not None and finished.assignment in {number for _, number, _ in lot.work} for lot in lots)


def _other_windows(verified: Verified) -> Iterator[Statement]:
    """Certificates by inference whose shown entry is not a window of their lot, or commits to other data than the shown
    inference."""
    opened = {one.record: build_window_commitment(one.salt, one.window) for one in verified.bundle.inferences}
    for evidence in verified.bundle.evidence:
        certificate, shown = verified.state.certificates.get(evidence.record), evidence.shown
        if certificate is None or certificate.model == 0 or shown is None:
            continue
        entry, number = _window(shown), certificate.sequence
        named = {"certificate": number, "lot": verified.thing(certificate.lot)}
        if entry.get("lot") != to_hex(certificate.lot):
            yield say("no_window", certificate.lot, (number,), **named)
        elif number in opened and entry.get("commitment") != to_hex(opened[number]):
            yield say("other_window", certificate.lot, (number,), **named)


def _other_kinds(verified: Verified) -> Iterator[Statement]:
    """Finished operations, and certificates by procedure, that name an entry which shows no work: an offer, a plan."""
    shown = {one.record: one.shown for one in verified.bundle.evidence if one.shown and not one.shown.kind.shows_work}
    if not shown:
        return
    for entry in verified.entries:
        event, leaf = entry.event, entry.event.leaf()
        certificate = verified.state.certificates.get(entry.sequence)
        judged = isinstance(event, AssignmentFinished) or (certificate is not None and certificate.model == 0)
        found = shown.get(entry.sequence)
        if judged and leaf is not None and found is not None:
            named = {"stream": leaf.stream, "index": leaf.index, "kind": found.kind}
            yield say("no_work", None, (entry.sequence,), record=entry.sequence, **named)


def compared_inputs(verified: Verified) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The certificates with a shown inference: those whose input is the shown window, and those without a shown
    window."""
    opened = {one.record: build_window_commitment(one.salt, one.window) for one in verified.bundle.inferences}
    shown = {one.record: one.shown for one in verified.bundle.evidence}
    same, unknown = [], []
    for number, commitment in opened.items():
        entry = _window(shown.get(number))
        if not entry:
            unknown.append(number)
        elif entry.get("commitment") == to_hex(commitment):
            same.append(number)
    return tuple(same), tuple(unknown)


def _window(shown: EvidenceEntryShown | None) -> dict[str, object]:
    """The entry of a window; empty if none is shown."""
    window = shown is not None and shown.kind is LeafKind.WINDOW and isinstance(shown.entry, dict)
    return dict(shown.entry) if window and shown is not None else {}  # type: ignore[arg-type]  # a mapping, as asked


class _Ages:
    """What the bundle proves about when entries were measured: how long streams were when records were made."""

    def __init__(self, verified: Verified) -> None:
        self._verified = verified
        self._sizes: dict[bytes, list[tuple[int, int]]] = {}
        self._started: dict[int, int] = {}
        self._reworks: dict[bytes, list[int]] = {}
        self._finished: dict[int, tuple[int, AssignmentFinished]] = {}
        self._windows = {one.record: _window(one.shown) for one in verified.bundle.evidence}
        for started in verified.entries_with(AssignmentStarted):
            self._started[started.event.assignment] = started.sequence
            self._sizes.setdefault(started.event.stream, []).append((started.sequence, started.event.stream_size))
        for issued in verified.entries_with(CertificateIssued):
            size = (issued.sequence, issued.event.anchor_size)
            self._sizes.setdefault(issued.event.statement.stream, []).append(size)
        for finished in verified.entries_with(AssignmentFinished):
            self._finished[finished.event.assignment] = (finished.sequence, finished.event)
        for reworked in verified.entries_with(LotReworked):
            self._reworks.setdefault(reworked.histories[0], []).append(reworked.sequence)

    def judge(self, lot: Lot, certificate: Certificate) -> Iterator[Statement]:
        work = self._work_before(lot, certificate)
        named = {"certificate": certificate.sequence, "lot": self._verified.thing(lot.subject)}
        since, size = self._least(lot, certificate, work)
        index = self._latest_entry(certificate)
        if index < size:
            numbers = (certificate.sequence, since)
            yield say("old_measurement", lot.subject, numbers, **named, index=index, size=size, work=since)
        if work is None or work[1] not in self._finished:
            return
        number, finished = self._finished[work[1]]
        if finished.stream == certificate.statement.stream and not self._covers(certificate, finished.leaf_index):
            numbers = (certificate.sequence, number)
            index, at = certificate.statement.leaf_index, finished.leaf_index
            yield say("other_measurement", lot.subject, numbers, **named, index=index, finished=at)

    def is_dated(self, lot: Lot, certificate: Certificate) -> bool:
        """Whether it is known if the entry was measured after the latest work on the lot began, or its rework, if there
        was any."""
        work = self._work_before(lot, certificate)
        start = 0 if work is None else self._started.get(work[1], work[2])
        start = max(start, self._rework_before(lot, certificate)[0])
        if not start or self._latest_entry(certificate) < self._least(lot, certificate, work)[1]:
            return True
        sizes = self._sizes.get(certificate.statement.stream, [])
        return any(record >= start and size <= self._latest_entry(certificate) for record, size in sizes)

    def _least(self, lot: Lot, certificate: Certificate, work: tuple[bytes, int, int] | None) -> tuple[int, int]:
        """The least entry that counts, and the record from which that follows."""
        sizes = self._sizes.get(certificate.statement.stream, [])
        start = 0 if work is None else self._started.get(work[1], 0)
        least = max((size for record, size in sizes if record <= start), default=0)
        # What was anchored for a verdict before a rework is older than the rework.
        reworked, earlier = self._rework_before(lot, certificate)
        anchored = [
            one.anchor_size
            for one in earlier
            if one.sequence < reworked and one.statement.stream == certificate.statement.stream
        ]
        if anchored and max(anchored) > least:
            return reworked, max(anchored)
        return start, least

    def _rework_before(self, lot: Lot, certificate: Certificate) -> tuple[int, list[Certificate]]:
        """The latest rework before a certificate, and the certificates of what was reworked."""
        reworked = self._reworks.get(lot.subject, [])
        latest = max((record for record in reworked if record < certificate.sequence), default=0)
        return (latest, lot.certificates) if latest else (0, [])

    def _work_before(self, lot: Lot, certificate: Certificate) -> tuple[bytes, int, int] | None:
        return next((one for one in reversed(lot.work) if one[2] < certificate.sequence), None)

    def _latest_entry(self, certificate: Certificate) -> int:
        """The index of the latest entry that the measurement is made of: a window is cut from earlier ones."""
        last = self._windows.get(certificate.sequence, {}).get("last")
        index = certificate.statement.leaf_index
        return min(index, last) if type(last) is int else index

    def _covers(self, certificate: Certificate, index: int) -> bool:
        """Whether the certificate names that entry, or a window that is cut from it."""
        if certificate.statement.leaf_index == index:
            return True
        window = self._windows.get(certificate.sequence, {})
        first, last = window.get("first"), window.get("last")
        return type(first) is int and type(last) is int and first <= index <= last


def undated(verified: Verified) -> tuple[int, ...]:
    """The certificates for which nothing here proves whether the lot was measured after the work on it began."""
    ages = _Ages(verified)
    found = (
        one.sequence for lot in verified.state.lots.values() for one in lot.certificates if not ages.is_dated(lot, one)
    )
    return tuple(sorted(set(found)))


# Statements about certificates by companies that judged their own work, or their own goods.

_Hands = Mapping[bytes, Mapping[int, bytes]]
"""By lot: the participants that had a hand in it or in what it was made from, and in which lot each had it."""


def own_work(verified: Verified) -> Iterator[Statement]:
    """Certificates by who made or reworked the lot or anything that it was made from, with or without an order,
    whatever became of the assignment; by who started an operation of an order that it ever belonged to; by who received
    it, or what it was made from, from outside."""
    certified = [lot for lot in verified.state.lots.values() if lot.certificates]
    if not certified:
        return
    worked = _hands(verified, lambda lot: _workers(verified, lot))
    received = _hands(verified, lambda lot: {lot.maker} if lot.from_outside else set())
    for lot in certified:
        busy = {one: name for name in sorted(lot.orders) for one in verified.state.orders[name].workers()}
        for certificate in lot.certificates:
            issuer = certificate.issuer
            code, work = "own_work", worked[lot.subject].get(issuer) or busy.get(issuer)
            if work is None:
                code, work = "own_goods", received[lot.subject].get(issuer)
            if work is not None:
                yield say(
                    code,
                    lot.subject,
                    (certificate.sequence,),
                    certificate=certificate.sequence,
                    lot=verified.thing(lot.subject),
                    inspector=verified.party(issuer),
                    work=verified.thing(work),
                )


def _workers(verified: Verified, lot: Lot) -> set[int]:
    """Who made a lot, or did operations on it; who only split or merged it did not."""
    orders = verified.state.orders
    found = {orders[order].assignments[number].owner for order, number, _ in lot.work}
    if is_work(verified, lot):
        found.add(lot.maker)
    if lot.reworked:
        records = verified.state.entries_of[lot.subject].values()
        found |= {
            one.participant for one in records if isinstance(one.event, LotReworked) and one.histories[0] == lot.subject
        }
    return found


def _hands(verified: Verified, own: Callable[[Lot], set[int]]) -> _Hands:
    """What each lot has of its own, and from what it was made of."""
    lots = verified.state.lots
    used_in: dict[bytes, list[bytes]] = {}
    for lot in lots.values():
        for name in lot.inputs:
            used_in.setdefault(name, []).append(lot.subject)
    # Handed down, each participant once per lot: walking up from every lot would take quadratic time.
    found: dict[bytes, dict[int, bytes]] = {name: {} for name in lots}
    waiting = [(name, one, name) for name, lot in lots.items() for one in own(lot)]
    waiting.reverse()  # the oldest lots first
    while waiting:
        name, participant, work = waiting.pop()
        if participant not in found[name]:
            found[name][participant] = work
            waiting += [(user, participant, work) for user in used_in.get(name, ())]
    return found


_MEASURES = {
    b"MGM": ("mass", 1), b"GRM": ("mass", 10**3), b"KGM": ("mass", 10**6), b"TNE": ("mass", 10**9),
    b"MMT": ("length", 1), b"CMT": ("length", 10), b"MTR": ("length", 10**3), b"KMT": ("length", 10**6),
    b"MLT": ("volume", 1), b"LTR": ("volume", 10**3), b"MTQ": ("volume", 10**6),
}  # fmt: skip
"""What units of UN/ECE Recommendation 20 measure, and how many of the smallest one each is."""


def attention(verified: Verified) -> Iterator[Statement]:
    """What a reader must not overlook."""
    yield from _behind(verified)
    for lot in verified.state.lots.values():
        yield from _doubtful(verified, lot)
    yield from _ungated(verified)
    yield from _waived(verified)
    yield from own_work(verified)
    yield from measurements(verified)
    yield from verified.derive(judge_footprints).doubts
    yield from _lots(verified)
    yield from _noted(verified)
    yield from _records(verified)
    yield from _odd_yields(verified)
    yield from _doubtful_signers(verified)
    yield from _companies(verified)


def _behind(verified: Verified) -> Iterator[Statement]:
    proof, last = verified.headers[0], verified.headers[-1]
    if last.number != proof.number:
        yield say("behind", blocks=last.number - proof.number, span=Span(last.timestamp - proof.timestamp))


def _doubtful(verified: Verified, lot: Lot) -> Iterator[Statement]:
    """Every certificate of a lot that failed, or was refuted, revoked or demanded, whatever was issued after it; and
    the one that decides, if it is not valid for another reason."""
    deciding = verified.state.deciding(lot)
    records = verified.state.entries_of[lot.subject].values()
    demanded = {one.event.certificate: one.participant for one in verified.entries_with(OpeningDemanded)}
    upheld = {one.event.certificate for one in records if isinstance(one.event, CertificateUpheld)}
    for certificate in lot.certificates:
        status = status_of(verified, certificate, verified.judged_at, lot)
        if status is CertificateStatus.VOIDED:  # that a rework voided it does not hide what else is wrong with it
            own = status_apart_from_rework(verified, certificate, verified.judged_at)
            status = own if own in _NEVER_VALID else status
        bad = certificate.verdict is Verdict.FAIL or status in _NEVER_VALID
        if bad or (any(one is certificate for one in deciding) and status is not CertificateStatus.VALID):
            yield _certificate("certificate", verified, lot, certificate, verdict=certificate.verdict, status=status)
        unsettled = certificate.state in (CertificateState.DEMANDED, CertificateState.REVOKED)
        if certificate.opening_deadline and unsettled and certificate.sequence not in upheld:
            due = certificate.state is CertificateState.DEMANDED and not certificate.has_lapsed(verified.judged_at)
            until = moment(certificate.opening_deadline)
            if due:
                by = verified.party(demanded[certificate.sequence])
                yield _certificate("demanded", verified, lot, certificate, by=by, until=until)
            else:
                yield _certificate("unmet", verified, lot, certificate, until=until)


_NEVER_VALID = (
    CertificateStatus.REVOKED,
    CertificateStatus.REFUTED,
    CertificateStatus.UNOPENED,
    CertificateStatus.FALLEN,
)


def _certificate(code: str, verified: Verified, lot: Lot, certificate: Certificate, **values: object) -> Statement:
    return say(
        code,
        lot.subject,
        (certificate.sequence,),
        certificate=certificate.sequence,
        lot=verified.thing(lot.subject),
        issuer=verified.party(certificate.issuer),
        **values,
    )


def _ungated(verified: Verified) -> Iterator[Statement]:
    """Parts that would not pass a gate of their order, since inspector or model are not those that it names."""
    for lot in verified.parts:
        name = verified.thing(lot.subject)
        gates = [one for one in verified.state.gates_of(lot) if not verified.state.is_waived(lot, one.inspector)]
        if gates and not lot.certificates:
            yield say("uncertified", lot.subject, lot=name)
            continue
        for gate in gates:
            latest = lot.standings[gate.inspector].latest if gate.inspector in lot.standings else None
            if latest is None or latest.model != gate.model:
                inspector, model = verified.party(gate.inspector), Model(gate.model)
                yield say("other_gate", lot.subject, lot=name, inspector=inspector, model=model)


def _waived(verified: Verified) -> Iterator[Statement]:
    """Every gate that a buyer waived for a lot, whether it holds any more or not."""
    for entry in verified.entries_with(GateWaived):
        number, lot = entry.event.certificate, entry.histories[0]
        named: dict[str, object] = {
            "record": entry.sequence,
            "by": verified.party(entry.participant),
            "inspector": verified.party(entry.event.inspector),
            "lot": verified.thing(lot),
        }
        if number:
            verdict = verified.state.certificates[number].verdict
            yield say("waived", lot, (entry.sequence, number), **named, certificate=number, verdict=verdict)
        else:
            yield say("waived_uncertified", lot, (entry.sequence,), **named)


def _lots(verified: Verified) -> Iterator[Statement]:
    """Lots that are in quarantine, and parts that were scrapped or used up."""
    for lot in verified.state.lots.values():
        if lot.state.is_quarantined:
            # What withheld records took is not known: it may be all, and then the contract quarantines nothing.
            code = "quarantined_or_spent" if lot.withheld else "quarantined"
            by = verified.party(lot.counterparty)
            yield say(code, lot.subject, lot=verified.thing(lot.subject), by=by)
    for lot in verified.parts:
        if lot.state is LotState.SPENT:
            yield say("spent", lot.subject, lot=verified.thing(lot.subject))


def _noted(verified: Verified) -> Iterator[Statement]:
    """Every note: what it says is in its document, if that is shown; a recall notice has a line of its own."""
    for entry in verified.entries_with(NoteRecorded):
        number = entry.event.kind_
        known = number in NoteKind.__members__.values()
        code = "recall_notice" if number == NoteKind.RECALL_NOTICE else "note"
        by, about = verified.party(entry.participant), verified.things(entry.histories)
        note = NoteKind(number) if known else number
        yield say(code, entry.histories[0], (entry.sequence,), record=entry.sequence, by=by, note=note, about=about)


def _records(verified: Verified) -> Iterator[Statement]:
    """Records of keys that were compromised, and records that were corrected."""
    keys = verified.state.proved.keys
    for entry in verified.entries:
        key = keys.get(entry.key) if entry.participant else None
        if key is not None and key.compromised_since and entry.time >= key.compromised_since:
            declared = moment(key.declared_at)
            yield say("compromised", None, (entry.sequence,), record=entry.sequence, declared=declared)
    for record, who in verified.state.lifted.items():
        yield say("lifted", None, (record,), record=record, by=verified.party(who))
    for number, by in verified.state.corrected.items():
        found = verified.state.certificates.get(number)
        if found is None:
            yield say("corrected", None, (number, by), record=number, by=by)
        else:
            issuer, lot = verified.party(found.issuer), verified.thing(found.lot)
            yield say("taken_back", found.lot, (number, by), certificate=number, lot=lot, issuer=issuer, by=by)


def _companies(verified: Verified) -> Iterator[Statement]:
    """What became of the companies that recorded something."""
    for number, company in verified.state.proved.participants.items():
        if company.suspended:
            yield say("suspended", participant=verified.party(number))
        if company.departed:
            yield say("departed", participant=verified.party(number))
    for (creator, index), name_key in verified.state.proved.name_keys.items():
        if index and name_key.set_at:
            yield say("renamed", participant=verified.party(creator), replaced=moment(name_key.set_at))


def _doubtful_signers(verified: Verified) -> Iterator[Statement]:
    """Co-signers whose key is revoked, or another participant's, on the ledger: the trust file is outdated."""
    if verified.trust.cosigners is None:
        return
    owners = {key.address: key.participant for key in verified.trust.cosigners.keys}
    for address in verified.reasons.signers:
        key, signer = verified.state.proved.keys.get(address), verified.party(owners[address])
        if key is not None and (key.revoked_at or _is_replaced(verified.state, key)):
            yield say("checkpoint_revoked", signer=signer)
        elif key is not None and key.participant != owners[address]:
            yield say("checkpoint_foreign", signer=signer, owner=verified.party(key.participant))


def _is_replaced(state: State, key: KeySlots) -> bool:
    """Whether a key ended by a recovery of its participant, as far as the bundle proves the participant."""
    company = state.proved.participants.get(key.participant)
    return company is not None and key.generation != company.generation


def conversions(verified: Verified) -> Iterator[tuple[int, Transformation]]:
    for entry in verified.entries_with(LotsTransformed):
        if entry.event.transformation.kind is TransformationKind.CONVERSION:
            yield entry.sequence, entry.event.transformation


def _odd_yields(verified: Verified) -> Iterator[Statement]:
    """Conversions between units of one measure that make or lose some of it. The contract does not know units. With
    components nothing can be said: they may be what became more."""
    for number, change in conversions(verified):
        before, after = _MEASURES.get(change.unit), _MEASURES.get(change.output_unit)
        if before is None or after is None or any(taken.component for taken in change.inputs):
            continue
        (measure, size), (same, other) = before, after
        if measure == same and change.yield_in * size != change.yield_out * other:
            yield say(
                "odd_yield",
                None,
                (number,),
                record=number,
                given=change.yield_in,
                unit=Unit(change.unit.decode()),
                made=change.yield_out,
                output_unit=Unit(change.output_unit.decode()),
            )
