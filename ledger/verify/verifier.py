"""The steps of verification, in their order."""

from __future__ import annotations

from collections.abc import Iterator

from millmark.ledger.ages import DEFAULT_MAX_AGE_S, MAX_ANCESTRY
from millmark.ledger.bundle import Bundle, OpenBundle, open_bundle
from millmark.ledger.errors import BundleError, NotABundleError, ProofError
from millmark.ledger.headers import BlockHeader, parse_header
from millmark.ledger.records import CertificateState
from millmark.ledger.trust import TrustFile
from millmark.ledger.verify import _proofs
from millmark.ledger.verify._attention import attention
from millmark.ledger.verify._bundle import disclosed, head, not_proved, proved
from millmark.ledger.verify._disclosures import verify_claims, verify_evidence, verify_inferences
from millmark.ledger.verify._parts import origin, parts
from millmark.ledger.verify._replay import replay, verify_histories
from millmark.ledger.verify._status import Verified, verify_status
from millmark.ledger.verify.report import FormatRefused, Report, StatusRefused

# Builds the report of a verified bundle.

_SECTIONS = (head, parts, attention, origin, disclosed, proved, not_proved)


def build_report(verified: Verified) -> Report:
    """Build the report of everything that the bundle proves or discloses."""
    return Report(
        statements=tuple(one for section in _SECTIONS for one in section(verified)),
        holds_until=min((one for one in _changes(verified) if one > verified.now_s), default=verified.now_s),
    )


def _changes(verified: Verified) -> Iterator[int]:
    """The times, in seconds since 1970, at which time alone changes what is said, or whether the bundle is accepted."""
    yield verified.time + verified.max_age_s + 1
    if not (verified.bundle.signatures and verified.trust.cosigners):
        yield from (change.header.timestamp + verified.max_age_s + 1 for change in verified.reasons.changes)
    for certificate in verified.state.certificates.values():
        yield certificate.expires_at
        if certificate.state in (CertificateState.DEMANDED, CertificateState.REVOKED):
            yield certificate.opening_deadline


def verify_bundle(
    data: bytes,
    trust: TrustFile,
    *,
    now_s: int,
    max_age_s: int = DEFAULT_MAX_AGE_S,
    max_behind: int = MAX_ANCESTRY,
    any_status: bool = False,
) -> Report:
    """Verify a bundle's bytes and return what they prove.

    1. Format: the canonical text of a bundle, within the limits. What is disclosed is looked at after step 3.
    2. Trust: chain, addresses and code are those of the trust file.
    3. Checkpoint: the proof block is the believed one or an ancestor of it, and not too old. The block is believed
        because the trust file names it, its co-signers signed it, or its validators sealed it.
    4. Proofs: the state of everything listed is in that block, and no trie node is superfluous.
    5. Heads: the records are all that each history contains, each once and in order.
    6. Replay: every record could follow the earlier ones, and every history that the parts need is included.
    7. Identifiers lead to the subjects that they name, by salts that their creators could not choose, and every part
        has one; with `any_status`, parts may lack one.
    8. Claims: disclosed fields are those that the records commit to.
    9. Evidence is in its stream, and the stream only grew.
    10. Inferences are those that the certificates commit to.
    11. Status: no part has a certificate that does not count or a failing verdict, is quarantined, or is spent. Skipped
        with `any_status`; the report then says so.

    Raises the VerificationError of the step that failed; that of step 11 has the report as its `report`. `now_s` is the
    verifier's clock, in seconds since 1970; `max_age_s` is the maximum age of the proof block, and `max_behind` by how
    many blocks it may precede the one that is believed.
    """
    # The contracts before the checkpoint: headers of another chain would otherwise be refused for a misleading reason.
    opened, headers = _open(data)
    proof = _proofs.StateProof(opened.frame, headers[0])
    proof.verify_contracts(opened.frame, trust)
    reasons = _proofs.verify_checkpoint(opened.frame, trust, headers, now_s, max_age_s)
    _proofs.verify_distance(headers, max_behind)
    # Only now: what a stranger disclosed may take a hundred times as long as all steps so far.
    bundle = _parse(opened)
    _proofs.verify_listed(bundle, trust)
    proved = proof.read(bundle)
    entries = verify_histories(bundle, proved.heads)
    state = replay(bundle, entries, proved, headers[0].timestamp)
    by_sequence = {entry.sequence: entry for entry in entries}
    identifiers = _proofs.verify_identifiers(bundle, state, nameless=any_status)
    verify_claims(bundle, by_sequence)
    verify_evidence(bundle, state, by_sequence)
    verify_inferences(bundle, state)
    verified = Verified(bundle, trust, headers, reasons, state, entries, identifiers, now_s, max_age_s)
    return _report(verified, any_status=any_status)


def _report(verified: Verified, *, any_status: bool) -> Report:
    """Step 11, and the report."""
    report = build_report(verified)  # before the status is judged: a receiver also wants to see why a part is refused
    if not any_status:
        try:
            verify_status(verified)
        except StatusRefused as error:
            error.report = report
            raise
    return report


def _open(data: bytes) -> tuple[OpenBundle, tuple[BlockHeader, ...]]:
    """Step 1, except for what is disclosed."""
    try:
        opened = open_bundle(data)
        headers = tuple(parse_header(header) for header in opened.frame.headers)
    except NotABundleError as error:
        # A file of another kind is the user's mistake, so the exit code is another.
        raise FormatRefused(error.cause, hint=error.hint, usable=False) from None
    except (BundleError, ProofError) as error:
        raise FormatRefused(error.cause, hint=error.hint) from None
    if not headers:
        raise FormatRefused("the bundle has no block header")
    return opened, headers


def _parse(opened: OpenBundle) -> Bundle:
    """Step 1, for what is disclosed."""
    try:
        return opened.parse()
    except BundleError as error:
        raise FormatRefused(error.cause, hint=error.hint) from None
