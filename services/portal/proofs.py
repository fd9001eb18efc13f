"""Proofs for passports: built from the company's own node, or stored in a folder. Every proof is verified here before a
page claims anything about it.

    Proofs(store, chain, folder).fetch(lot, as_of, now_s)

Built proofs are cached until the index has another record. Stored ones are used if there is no node. The result of
verifying a file is cached for as long as the passing of time alone cannot change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from millmark.ledger import canonical, errors, headers, seals
from millmark.ledger.bundle import MAX_BUNDLE_BYTES, InferenceShown, parse_bundle
from millmark.ledger.chain import Chain, fetch_checkpoint
from millmark.ledger.provenance import Disclosing, build_bundle, build_trust_file
from millmark.ledger.provenance.answers import AsOf
from millmark.ledger.store import Store
from millmark.ledger.trust import MAX_TRUST_BYTES, Validator, parse_trust
from millmark.ledger.verify import Report, Step, VerificationError, verify_bundle
from millmark.services.cache import LruCache
from millmark.services.files import read_bounded
from millmark.services.serving.requests import BoundedWork

PASSPORTS = "passports"
"""Name of the folder of stored proofs, in the home folder."""
MARKED = Disclosing(fields=(("passport",),))
"""Discloses the fields under the member `passport` of a document, which its author meant for publication."""
_MAX_BYTES = 64 * 1024 * 1024
"""Limit of the cache of proofs; and of the cache of reports, measured by the files that they are about."""
_MAX_WAITING = 4
"""Requests that may wait while a proof is built. The node may be slow, and other pages must not suffer."""


class ProofsBusyError(errors.MillmarkError):
    """Too many proofs are requested at the same time."""

    code = "proofs-busy"
    retry = errors.Retry.UNCHANGED


@dataclass(frozen=True, slots=True)
class Proof:
    """A bundle, its trust file, and the result of verifying them here."""

    bundle: bytes
    trust: bytes
    kept: bool
    """Whether it is from the folder. Otherwise it was built now."""
    report: Report | None
    """What the bundle proves; None if a step before the last one refused it."""
    refused: VerificationError | None
    """Why verification failed; None if it passed."""
    inferences: tuple[InferenceShown, ...] = ()
    """The inferences that the bundle opens; none without a report, since nothing is then known of them."""

    @property
    def passed(self) -> tuple[Step, ...]:
        """The steps that passed."""
        failed = len(Step) + 1 if self.refused is None else self.refused.step.value
        return tuple(step for step in Step if step.value < failed)


@dataclass(frozen=True, slots=True)
class _Made:
    state: tuple[int, int] | None
    """Sequences of the index when it was built."""
    bundle: bytes
    trust: bytes


@dataclass(frozen=True, slots=True)
class _Verified:
    proof: Proof
    since_s: int
    until_s: int
    """The result is valid from `since_s` until `until_s`, by the local clock."""


def kept_names(lot: bytes) -> tuple[str, str]:
    """File names of a lot's stored bundle and trust file."""
    return f"{lot.hex()}.bundle", f"{lot.hex()}.trust.json"


class Proofs:
    """Builds, stores and verifies proofs for passports."""

    def __init__(self, store: Store, chain: Chain | None, folder: Path | None, disclosing: Disclosing = MARKED) -> None:
        self._store, self._folder = store, folder
        self.chain = chain
        """The company's node; None if the gateway has none."""
        self.disclosing = disclosing
        """What passports and their proofs disclose in addition to the records."""
        self._made: LruCache[_Made] = LruCache(_MAX_BYTES)
        self._verified: LruCache[_Verified] = LruCache(_MAX_BYTES)
        self._work = BoundedWork(at_once=1, waiting=_MAX_WAITING)

    def fetch(self, lot: bytes, as_of: AsOf | None, now_s: int) -> Proof | errors.MillmarkError | None:
        """The proof of a lot in the state `as_of` of the index. Without `as_of`, it is the last proof that was built,
        so that a download matches the page that linked to it. Returns None if no proof is available, and the error if
        building one failed."""
        failure: errors.MillmarkError | None = None
        if self.chain is not None:
            try:
                made = self._make(lot, as_of)
                return self._verify(made.bundle, made.trust, now_s, kept=False)
            except errors.MillmarkError as error:
                failure = error
        try:
            # A stored proof is older than the index, but better than none.
            kept = self._kept(lot)
            return failure if kept is None else self._verify(*kept, now_s, kept=True)
        except errors.InputError as error:  # the file is unreadable, or a trust file of an unsupported version
            return failure or error

    def vouch(self, number: int, block_hash: bytes) -> bytes | None:
        """A trust file that names this block, with what the own node says of chain, contracts and participants; None if
        the block is not final there, has another hash, or there is no node. Raises ChainError, ProofsBusyError."""
        if self.chain is None:
            return None
        with self._work.take() as mine:
            if not mine:
                raise ProofsBusyError("too many proofs are being built", hint="try again in a few seconds")
            if number > self.chain.final_number() or fetch_checkpoint(self.chain, number).block_hash != block_hash:
                return None
            return build_trust_file(self._store, self.chain, number).to_bytes()

    def _kept(self, lot: bytes) -> tuple[bytes, bytes] | None:
        if self._folder is None:
            return None
        bundle, trust = (self._folder / name for name in kept_names(lot))
        if not (bundle.is_file() and trust.is_file()):
            return None
        return read_bounded(bundle, MAX_BUNDLE_BYTES), read_bounded(trust, MAX_TRUST_BYTES)

    def _make(self, lot: bytes, as_of: AsOf | None) -> _Made:
        """One at a time: reloading a page does not build its proof again. Raises ProofsBusyError."""
        state = None if as_of is None else (as_of.registry_sequence, as_of.ledger_sequence)
        made = self._find(lot, state)
        if made is not None:
            return made
        with self._work.take() as mine:
            if not mine:
                raise ProofsBusyError("too many proofs are being built", hint="reload the page in a few seconds")
            made = self._find(lot, state)  # another request may have built it while this one waited
            if made is None:
                made = _Made(state, *self._build(lot))
                self._made.put(lot, made, len(made.bundle) + len(made.trust))
            return made

    def _find(self, lot: bytes, state: tuple[int, int] | None) -> _Made | None:
        made = self._made.get(lot)
        return made if made is not None and state in (None, made.state) else None

    def _build(self, lot: bytes) -> tuple[bytes, bytes]:
        assert self.chain is not None  # noqa: S101  # narrows the type: `fetch` asked
        data = build_bundle(self._store, self.chain, [lot], self.disclosing)
        bundle = parse_bundle(data)
        # The trust file is made for the bundle, so that the two always fit together: it lists the validators that
        # sealed the bundle's block or, where blocks have no seals, names the block.
        block = headers.parse_header(bundle.headers[-1])
        if bundle.seals is None:
            return data, build_trust_file(self._store, self.chain, block.number).to_bytes()
        listed = [Validator(address) for address in seals.parse_extra(block.extra_data).validators]
        return data, build_trust_file(self._store, self.chain, validators=listed).to_bytes()

    def _verify(self, bundle: bytes, trust: bytes, now_s: int, *, kept: bool) -> Proof:
        """Runs all steps as a receiver would, or returns the cached result for the same files. The files determine
        part, block and disclosure."""
        key = (canonical.sha256(bundle), canonical.sha256(trust), kept)
        found = self._verified.get(key)
        if found is not None and found.since_s <= now_s < found.until_s:
            return found.proof
        proof = _verify(bundle, trust, now_s, kept=kept)
        # Without a report, nothing tells how long the result would hold.
        if proof.report is not None:
            self._verified.put(key, _Verified(proof, now_s, proof.report.holds_until), len(bundle) + len(trust))
        return proof


def _verify(bundle: bytes, trust: bytes, now_s: int, *, kept: bool) -> Proof:
    """The report is kept even if the last step, which judges the part's status, refuses it."""
    refused: VerificationError | None = None
    try:
        report: Report | None = verify_bundle(bundle, parse_trust(trust), now_s=now_s)
    except VerificationError as error:
        refused, report = error, getattr(error, "report", None)
    shown = () if report is None else parse_bundle(bundle).inferences
    return Proof(bundle, trust, kept, report, refused, shown)
