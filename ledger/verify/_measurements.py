"""Statements about measurements: used twice, older than the work, or not those of the lot."""

from __future__ import annotations

from collections.abc import Iterator

from millmark.ledger.bundle import EvidenceEntryShown
from millmark.ledger.canonical import to_hex
from millmark.ledger.events import Event
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.events.lots import LotReworked, LotsTransformed
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.evidence import LeafKind, build_window_commitment
from millmark.ledger.records import TransformationKind
from millmark.ledger.verify._state import Certificate, Entry, Lot
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.statements import Statement, say

__all__ = ["compared_inputs", "measurements", "undated"]


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
    """The certificates with a shown inference: those whose input is the shown window, and those of which no window is
    shown."""
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
        if latest:
            return latest, lot.certificates
        first = self._verified.by_sequence[lot.sequence].event
        if isinstance(first, LotsTransformed) and first.transformation.kind is TransformationKind.REWORK:
            source = next(one.lot for one in first.transformation.inputs if not one.component)
            return lot.sequence, self._verified.state.lots[source].certificates
        return 0, []

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
    """Certificates on lots of which nothing here proves whether they were measured after the work on them began."""
    ages = _Ages(verified)
    found = (
        one.sequence for lot in verified.state.lots.values() for one in lot.certificates if not ages.is_dated(lot, one)
    )
    return tuple(sorted(set(found)))
