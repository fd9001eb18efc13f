"""Finds openings, which prove to a contract that a record is in a history (IHistory.Opening)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.reader import HINT_INDEX, Reader, find_subject, verify_name
from millmark.ledger.records import Contract, Names
from millmark.ledger.store.rows import AssignmentRow, CertificateRow, CertifiedLotRow, RecordRow


def find_certificate(reader: Reader, name: str | bytes, certificate: int | None = None) -> CertificateRow:
    """Find a lot's certificate by its sequence, by default the one that decides about it. `name` is the lot's
    identifier or subject. Raises NotFoundError if the lot is unknown or does not have that certificate."""
    verify_name(name)
    subject = find_subject(reader, name, SubjectKind.LOT)[1]
    wanted = reader.lot(subject).certificate if certificate is None else certificate
    row = reader.rows.get(CertificateRow, wanted) if wanted else None
    about = {one.certificate for one in reader.rows.find(CertifiedLotRow, lot=subject)}
    if row is None or row.sequence not in about:
        known = sorted(about)
        hint = f"it has {', '.join(map(str, known))}" if known else "it was never certified"
        raise NotFoundError(f"lot {to_hex(subject)} has no certificate {wanted or ''}".rstrip(), hint=hint)
    return row


def find_certified_lots(reader: Reader, certificate: int) -> tuple[bytes, ...]:
    """The lots of a certificate as its issue named them, without those to which it was handed on."""
    return find_issue(reader, certificate).event().subjects(Names.LOT)


def find_issue(reader: Reader, certificate: int) -> RecordRow:
    """The record that issued a certificate. Raises NotFoundError if the index lacks it."""
    row = reader.rows.get(RecordRow, Contract.LEDGER.value, certificate)
    if row is None:
        raise NotFoundError(f"the index lacks record {certificate}", hint=HINT_INDEX)
    return row


# Measurements that more than one certificate or finished operation names, anywhere on the ledger.


def build_shared_measurements(
    reader: Reader, assignments: Iterable[answers.Assignment], certificates: Iterable[answers.Certificate]
) -> tuple[answers.SharedMeasurement, ...]:
    """Entries of streams that these name and others name as well, by stream and index. An operation and the only
    certificate of a lot that it made may name one entry: that is one measurement of one lot."""
    named: dict[bytes, set[int]] = defaultdict(set)
    own: list[answers.Assignment | answers.Certificate] = [*assignments, *certificates]
    for one in own:
        if one.stream is not None and one.leaf_index is not None:
            named[one.stream].add(one.leaf_index)
    return find_shared(reader, named)


def find_shared(reader: Reader, named: Mapping[bytes, Collection[int]]) -> tuple[answers.SharedMeasurement, ...]:
    """Those of the entries `named` (indices by stream) that several things name, by stream and index."""
    found = (_shared(reader, stream, indices) for stream, indices in sorted(named.items()))
    return tuple(one for shared in found for one in shared)


def _shared(reader: Reader, stream: bytes, indices: Collection[int]) -> Iterable[answers.SharedMeasurement]:
    certificates: dict[int, list[CertificateRow]] = defaultdict(list)
    for row in reader.rows.among(CertificateRow, "leaf_index", indices, stream=stream):
        certificates[row.leaf_index].append(row)
    assignments: dict[int, list[AssignmentRow]] = defaultdict(list)
    for assignment in reader.rows.among(AssignmentRow, "leaf_index", indices, stream=stream):
        if assignment.leaf_hash is not None:  # finished; a started one has its stream already
            assignments[assignment.leaf_index].append(assignment)
    for index in sorted(indices):
        certified, worked = certificates[index], assignments[index]
        if len(certified) + len(worked) > 1 and not _is_one_work(reader, certified, worked):
            yield _build(reader, stream, index, certified, worked)


def _is_one_work(reader: Reader, certified: list[CertificateRow], worked: list[AssignmentRow]) -> bool:
    if len(certified) != 1 or len(worked) != 1:
        return False
    lots = [one.lot for one in reader.rows.find(CertifiedLotRow, certificate=certified[0].sequence)]
    reader.load(lots)
    return all(reader.lot(lot).assignment == worked[0].sequence for lot in lots)


def _build(
    reader: Reader, stream: bytes, index: int, certified: list[CertificateRow], worked: list[AssignmentRow]
) -> answers.SharedMeasurement:
    """Names only what the reader may see, and counts the rest."""
    sees = reader.visibility
    shown = [row.sequence for row in certified if sees is None or sees.has(SubjectKind.LOT, row.lot)]
    done = [row.sequence for row in worked if sees is None or sees.has(SubjectKind.ORDER, row.order)]
    others = len(certified) + len(worked) - len(shown) - len(done)
    return answers.SharedMeasurement(stream, index, tuple(sorted(shown)), tuple(sorted(done)), others)
