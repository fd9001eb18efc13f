"""Proofs for passports: made from the own chain's node, or kept in a folder; either way verified here before anything
is said of them.

    Proofs(store, chain, folder).fetch(lot, as_of, now_s)

What is made is kept in memory until the index has another record; what is in the folder is served where no node is
there to ask. What verifying a file came to is remembered as long as time alone cannot change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ledger.bundle import MAX_BUNDLE_BYTES, parse_bundle
from ledger.canonical import sha256
from ledger.chain import Chain
from ledger.checkpoint import DEFAULT_MAX_AGE_S
from ledger.errors import InputError, MillmarkError, Retry
from ledger.headers import parse_header
from ledger.provenance import Disclosing, build_bundle, build_trust_file
from ledger.provenance.answers import AsOf
from ledger.store import Store
from ledger.trust import MAX_TRUST_BYTES, parse_trust
from ledger.verify import Report, Step, VerificationError, verify_bundle
from services.cache import LruCache
from services.files import read_bounded
from services.serving.bounded_work import BoundedWork

__all__ = ["MARKED", "PASSPORTS", "Proof", "Proofs", "kept_names"]

PASSPORTS = "passports"
"""Folder of kept proofs in the home folder."""
MARKED = Disclosing(fields=(("passport",),))
"""Fields that their document's author marked: those under its member `passport`."""
_MOST_BYTES = 64 * 1024 * 1024
"""Of made proofs in memory; and of files, as long as they are, whose reports are remembered."""
_MOST_WAITING = 4
"""Requests that wait while a proof is made: the node may hang, and other pages need no proof."""


class ProofsBusyError(MillmarkError):
    """Too many proofs are wanted at once."""

    code = "proofs-busy"
    retry = Retry.UNCHANGED


@dataclass(frozen=True, slots=True)
class Proof:
    """A bundle, the trust file that goes with it, and what verifying it here came to."""

    bundle: bytes
    trust: bytes
    kept: bool
    """Whether it comes from the folder; otherwise it was made now."""
    report: Report | None
    """What it proves; None when a step before the last one refused it."""
    refused: VerificationError | None
    """Why it is not as a receiver wants it."""

    @property
    def passed(self) -> tuple[Step, ...]:
        """The steps that went through."""
        failed = len(Step) + 1 if self.refused is None else self.refused.step.value
        return tuple(step for step in Step if step.value < failed)


@dataclass(frozen=True, slots=True)
class _Made:
    state: tuple[int, int] | None
    """Of the index when it was made."""
    bundle: bytes
    trust: bytes


@dataclass(frozen=True, slots=True)
class _Verified:
    proof: Proof
    since_s: int
    until_s: int
    """From when to when, by our clock, verifying comes to the same."""


def kept_names(lot: bytes) -> tuple[str, str]:
    """File names of a lot's kept bundle and trust file."""
    return f"{lot.hex()}.bundle", f"{lot.hex()}.trust.json"


class Proofs:
    """Where passports get their proofs."""

    def __init__(self, store: Store, chain: Chain | None, folder: Path | None, disclosing: Disclosing = MARKED) -> None:
        self._store, self._chain, self._folder = store, chain, folder
        self.disclosing = disclosing
        """What a passport and its proof tell beyond the records themselves."""
        self._made: LruCache[_Made] = LruCache(_MOST_BYTES)
        self._verified: LruCache[_Verified] = LruCache(_MOST_BYTES)
        self._work = BoundedWork(at_once=1, waiting=_MOST_WAITING)

    def fetch(self, lot: bytes, as_of: AsOf | None, now_s: int) -> Proof | MillmarkError | None:
        """The proof for a lot at that state of the index, or the one that was made last: who saw a page gets bundle and
        trust file of what it said. None when there is none to be had, an error when making it failed."""
        failure: MillmarkError | None = None
        if self._chain is not None:
            try:
                made = self._make(lot, as_of)
                return self._verify(made.bundle, made.trust, now_s, kept=False)
            except MillmarkError as error:
                failure = error
        try:
            kept = self._kept(lot)
            return failure if kept is None else self._verify(*kept, now_s, kept=True)
        except InputError as error:  # a file that cannot be read, or a trust file of another version
            return failure or error

    def _kept(self, lot: bytes) -> tuple[bytes, bytes] | None:
        if self._folder is None:
            return None
        bundle, trust = (self._folder / name for name in kept_names(lot))
        if not (bundle.is_file() and trust.is_file()):
            return None
        return read_bounded(bundle, MAX_BUNDLE_BYTES), read_bounded(trust, MAX_TRUST_BYTES)

    def _make(self, lot: bytes, as_of: AsOf | None) -> _Made:
        """One at a time: whoever reloads a page many times gets the same proof, made once. Raises ProofsBusyError."""
        state = None if as_of is None else (as_of.registry_sequence, as_of.ledger_sequence)
        made = self._find(lot, state)
        if made is not None:
            return made
        with self._work.take() as mine:
            if not mine:
                raise ProofsBusyError("other proofs are being made", hint="load the page again in a while")
            made = self._find(lot, state)  # perhaps made while we waited
            if made is None:
                made = _Made(state, *self._build(lot))
                self._made.put(lot, made, len(made.bundle) + len(made.trust))
            return made

    def _find(self, lot: bytes, state: tuple[int, int] | None) -> _Made | None:
        made = self._made.get(lot)
        return made if made is not None and state in (None, made.state) else None

    def _build(self, lot: bytes) -> tuple[bytes, bytes]:
        assert self._chain is not None  # noqa: S101  # narrows the type: `fetch` asked
        data = build_bundle(self._store, self._chain, [lot], self.disclosing)
        block = parse_header(parse_bundle(data).headers[-1])
        return data, build_trust_file(self._store, self._chain, block.number).to_bytes()

    def _verify(self, bundle: bytes, trust: bytes, now_s: int, *, kept: bool) -> Proof:
        """All steps as a receiver would, at most once for the same two files and the same outcome: they say which part,
        which block, and what is disclosed."""
        key = (sha256(bundle), sha256(trust), kept)
        found = self._verified.get(key)
        if found is not None and found.since_s <= now_s < found.until_s:
            return found.proof
        proof = _verify(bundle, trust, now_s, kept=kept)
        if proof.report is not None:
            self._verified.put(
                key, _Verified(proof, now_s, _holds_until(proof.report, now_s)), len(bundle) + len(trust)
            )
        return proof


def _verify(bundle: bytes, trust: bytes, now_s: int, *, kept: bool) -> Proof:
    """The report also when only the last step, the part's status, refuses it."""
    try:
        return Proof(bundle, trust, kept, verify_bundle(bundle, parse_trust(trust), now_s=now_s), None)
    except VerificationError as error:
        return Proof(bundle, trust, kept, getattr(error, "report", None), error)


def _holds_until(report: Report, now_s: int) -> int:
    """When, after `now_s`, the clock alone may change what verifying comes to: a certificate expires, the time to open
    one is over, the block is too old."""
    times = [one.expires_at for one in report.certificates]
    times += [until for one in report.attention if isinstance(until := one.values.get("until"), datetime)]
    ends = [int(time.timestamp()) for time in times]
    ends.append(int(report.as_of.block_time.timestamp()) + DEFAULT_MAX_AGE_S + 1)
    return min((end for end in ends if end > now_s), default=now_s)
