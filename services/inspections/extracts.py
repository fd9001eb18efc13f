"""Certified inferences from the private book: as extracts, with their model, for re-execution by `python -m
millmark.quality audit`; and opened on chain by a challenge, with the outcome expected from re-execution here."""

from __future__ import annotations

import json
from dataclasses import dataclass

from millmark.ledger.canonical import canonical_json, sha256
from millmark.ledger.chain import Chain
from millmark.ledger.errors import InputError, NotFoundError, StoreDamagedError
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.provenance import Reader, build_shared_measurements, find_certificate, find_issue, open_reader
from millmark.ledger.provenance.answers import SharedMeasurement
from millmark.ledger.records import Challenge, Inference, Issued, Measured
from millmark.ledger.store import Store
from millmark.ledger.store.rows import CertificateRow, ModelRow, RecordRow
from millmark.quality.audit import Binding, Extract, audit, build_context, build_window_leaf_data
from millmark.quality.errors import AuditError, QualityError
from millmark.quality.inference import Inference as QualityInference
from millmark.quality.inference import Verdict as QualityVerdict
from millmark.quality.inference import build_input_commitment, pack_window, unpack_window
from millmark.quality.model import model_digest
from millmark.services.inspections.statements import to_ledger_verdict, to_model_verdict

_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class OpenedInference:
    """What a certificate's digest and leaf commit to. The model's bytes are no part of it: they are registered."""

    binding: Binding
    salt: bytes
    window: bytes
    """The measured window, packed: 8 bytes for each value."""
    logits: tuple[int, ...]
    inclusion: tuple[bytes, ...]
    """Inclusion proof of the leaf under the certificate's anchor."""


def find_shared_measurements(store: Store, name: str, certificate: int | None = None) -> list[SharedMeasurement]:
    """The certificate's measurement, if other certificates or finished operations name it, too: re-execution cannot
    show that. Raises NotFoundError."""
    with open_reader(store) as reader:
        row = find_certificate(reader, name, certificate)
        return list(build_shared_measurements(reader, (), reader.certificates([row])))


def find_extract(store: Store, chain: Chain | None, name: str, certificate: int | None = None) -> Extract:
    """The opened inference of the lot's certificate with the given sequence, by default of its latest certificate.

    Verdict and digests are those of the ledger; window, salt and logits are those in the book, unverified. Raises
    NotFoundError if certificate, inference, evidence or model are not known here."""
    with open_reader(store) as reader:
        return find_kept_extract(reader, chain, find_certificate(reader, name, certificate))


def find_kept_extract(reader: Reader, chain: Chain | None, row: CertificateRow) -> Extract:
    """Like `find_extract`, of a certificate that is found already."""
    opened = find_kept_inference(reader, row)
    return Extract(
        model=find_model(reader, chain, row.model),
        binding=opened.binding,
        salt=opened.salt,
        window=unpack_window(opened.window),
        model_digest=reader.need(ModelRow, row.model).digest,
        input_commitment=build_input_commitment(opened.salt, opened.window),
        logits=opened.logits,
        verdict=to_model_verdict(row.verdict),
        inference_digest=row.inference_digest,
        inclusion=opened.inclusion,
    )


def find_kept_inference(reader: Reader, row: CertificateRow) -> OpenedInference:
    """The opened inference of a certificate; the model's bytes need not be stored here. Window, salt and logits are
    those in the book, unverified. Raises NotFoundError if inference or evidence are not known here."""
    kept = reader.book.inference(row.sequence)
    if kept is None:
        raise NotFoundError(
            f"the inference of certificate {row.sequence} is not stored here",
            hint="ask the inspector that issued the certificate for an extract",
        )
    entry, inclusion = _find_leaf(reader, row)
    binding = Binding(
        chain_id=reader.identity.chain_id,
        ledger=reader.identity.ledger,
        lot=row.lot,
        stream=row.stream,
        leaf_index=row.leaf_index,
        leaf=row.leaf_hash,
        entry=entry,
    )
    return OpenedInference(binding, kept.salt, kept.window, tuple(json.loads(kept.logits)), inclusion)


def find_model(reader: Reader, chain: Chain | None, number: int) -> bytes:
    """A model's canonical bytes, from the book or else from the chain. Their digest is the registered one. Raises
    NotFoundError if neither has them."""
    row = reader.need(ModelRow, number)
    kept = reader.book.model(row.digest)
    if kept is not None:
        return kept.content
    # The first byte of the contract code is a zero, which stops any call to it from executing the model's bytes.
    content = b"" if chain is None or row.code is None else chain.node.code(row.code)[1:]
    if model_digest(content) != row.digest:
        raise NotFoundError(
            f"the bytes of model {number} are not stored here", hint="add them with `millmark quality keep FILE`"
        )
    return content


def _find_leaf(reader: Reader, row: CertificateRow) -> tuple[bytes, tuple[bytes, ...]]:
    """The salted hash of the entry that a certificate names, and its inclusion proof under the certificate's anchor."""
    kept = reader.book.evidence_entry(row.stream, row.leaf_index)
    if kept is not None and (tree := reader.tree(row.stream, row.anchor_size)).size >= row.anchor_size:
        proof = tuple(tree.inclusion_proof(row.leaf_index, row.anchor_size))
        return sha256(kept.salt + canonical_json(kept.entry)), proof
    handed = reader.book.certified_entry(row.sequence)
    if handed is None:
        raise NotFoundError(
            f"the evidence of certificate {row.sequence} is not stored here", hint="ask the company that captured it"
        )
    hashes = (handed.inclusion[start : start + _HASH_BYTES] for start in range(0, len(handed.inclusion), _HASH_BYTES))
    return sha256(handed.salt + handed.entry.encode()), tuple(hashes)


@dataclass(frozen=True, slots=True)
class PreparedChallenge:
    """A challenge that is ready to be signed."""

    record: Challenge
    certificate: int
    executable: bool
    """Whether the model's bytes are on chain. Otherwise the contract only compares the verdict in the digest with the
    stated one."""
    fault: str | None
    """Fault that re-execution found here; None if the certificate is right."""


def prepare_challenge(store: Store, name: str, extract: Extract, certificate: int | None = None) -> PreparedChallenge:
    """Builds the record that opens a lot's certificate, by default the one that decides about it, with an extract.
    Raises NotFoundError, and InputError if the extract does not open the certificate; the contract would refuse it."""
    opened = OpenedInference(
        extract.binding, extract.salt, pack_window(extract.window), extract.logits, extract.inclusion
    )
    # One read transaction: certificate and model must belong to the same state of the index.
    with open_reader(store) as reader:
        row = find_certificate(reader, name, certificate)
        record = build_challenge(reader, row, opened)
        executable = reader.need(ModelRow, row.model).code is not None
    return PreparedChallenge(record, row.sequence, executable, find_fault(extract))


def build_challenge(reader: Reader, row: CertificateRow, opened: OpenedInference) -> Challenge:
    """The record that opens a certificate with its inference. Raises InputError if the inference does not open the
    certificate; the contract would refuse it."""
    if not row.model:
        raise InputError(f"certificate {row.sequence} is by a procedure: there is no inference to open")
    model, issue = reader.need(ModelRow, row.model), find_issue(reader, row.sequence)
    return Challenge(
        certificate=row.sequence,
        key=issue.key,
        issued=read_issued(issue),
        inference=Inference(opened.window, opened.salt, opened.logits, _find_verdict(row, model, opened)),
        measured=Measured(
            build_window_leaf_data(opened.binding, build_input_commitment(opened.salt, opened.window)),
            opened.inclusion,
        ),
    )


def read_issued(issue: RecordRow) -> Issued:
    """What the record of a certificate's issue has. Raises StoreDamagedError, as for a record of another kind."""
    event = issue.event()
    if not isinstance(event, CertificateIssued):
        raise StoreDamagedError(f"record {issue.sequence} issues no certificate", hint="rebuild the index")
    return Issued(event.statement, event.anchor_size, event.anchor_root)


def _find_verdict(row: CertificateRow, model: ModelRow, opened: OpenedInference) -> int:
    """The verdict that the digest commits to, which may differ from the stated one. Raises InputError."""
    # The digest hides the verdict, so each possible one is tried: a lying inspector committed to another one.
    for verdict in QualityVerdict:
        try:
            inference = QualityInference(
                context=build_context(opened.binding),
                model_digest=model.digest,
                salt=opened.salt,
                window=opened.window,
                logits=opened.logits,
                verdict=verdict,
            )
        except QualityError as error:
            raise InputError(f"the extract is not a valid inference: {error.cause}") from error
        if inference.digest == row.inference_digest:
            return to_ledger_verdict(verdict).value
    raise InputError(
        f"the extract does not open certificate {row.sequence}, whose digest commits to another inference",
        hint="demand the opening instead: `millmark certificates demand`",
    )


def find_fault(extract: Extract) -> str | None:
    """The fault that re-execution finds; None if the certificate is right, so that opening it upholds it."""
    try:
        audit(extract)
    except AuditError as error:
        return str(error)
    return None
