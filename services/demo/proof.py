"""One part's bundle: verified as by a stranger, then tampered with, and each tampering must be refused.

The stranger's trust file lists the validators that seal the chain's blocks, if there are any, and neither a block nor
co-signers.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from millmark.ledger.bundle import (
    Bundle,
    EvidenceEntryShown,
    HistoryShown,
    IdentityShown,
    RecordShown,
    ShownClaims,
    encode_bundle,
    parse_bundle,
)
from millmark.ledger.chain import Chain, fetch_checkpoint, fetch_trust, fetch_validators
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.events import HISTORY_EVENTS, topic_of
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.footprint import Moment, build_register_data, parse_register_entry
from millmark.ledger.headers import parse_header
from millmark.ledger.ids import identifier_hash, subject
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import NameKey, build_alpha
from millmark.ledger.provenance import Disclosing, build_bundle
from millmark.ledger.records import Verdict
from millmark.ledger.seals import encode_seal
from millmark.ledger.slots import inner_of, link, start_of
from millmark.ledger.store import Store
from millmark.ledger.trust import BelievedBlock, Trusted, TrustFile, Validator, Validators
from millmark.ledger.verify import Report, VerificationError, verify_bundle

BUNDLE, TRUST = "part.bundle", "trust.json"
_EVERYTHING = Disclosing(names=True, fields=((),), entries=True, inferences=True)
_OPTIONS = ("specification", "options")
_VERDICT = slice(5 * 32, 6 * 32)
"""Position of the verdict in CertificateIssued's data: after key, histories' offset, lot, order and model."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A tampering, and the reason for which it was refused."""

    tampering: str
    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The verified bundle of one part, and the refusals of tampered ones."""

    report: Report
    size: int
    """Size of the bundle in bytes."""
    validators: int
    """Number of validators that the trust file lists; 0 if it names a block."""
    refusals: tuple[Refusal, ...]


def prove_part(store: Store, chain: Chain, lot: bytes, names: Mapping[int, str], home: Path) -> Proof:
    """Writes bundle and trust file to `home`, verifies them, and checks that tampered bundles are refused.

    Raises VerificationError if the genuine bundle is refused, MillmarkError if a tampered one is accepted.
    """
    data = build_bundle(store, chain, [lot], _EVERYTHING)
    believed = _find_believed(chain, names, parse_header(parse_bundle(data).headers[-1]).number)
    trust = fetch_trust(chain, names, believed)
    (home / BUNDLE).write_bytes(data)
    (home / TRUST).write_bytes(trust.to_bytes())
    report = verify_bundle(data, trust, now_s=int(time.time()))
    bundle = parse_bundle(data)
    tampered = {name: tamper(bundle) for name, tamper in _TAMPERINGS.items()}
    # A company that lacks what others measured cannot falsify it either.
    refusals = [_refuse(name, encode_bundle(one), trust) for name, one in tampered.items() if one != bundle]
    staging = replace(trust, chain_id=trust.chain_id + 1)
    refusals.append(_refuse("a bundle of a staging chain, given for the real one", data, staging))
    return Proof(report, len(data), len(believed.members) if isinstance(believed, Validators) else 0, tuple(refusals))


def _find_believed(chain: Chain, companies: Iterable[int], number: int) -> Trusted:
    """What a stranger believes: the chain's validators, each of one of the first companies; on a chain without seals,
    block `number`, at which the bundle ends: the chain may have gone on since."""
    try:
        listed = fetch_validators(chain)
    except InputError:
        point = fetch_checkpoint(chain, number)
        return BelievedBlock(point.block_number, point.block_hash)
    return Validators(tuple(Validator(*one) for one in itertools.zip_longest(listed, [*companies][: len(listed)])))


def _refuse(tampering: str, data: bytes, trust: TrustFile) -> Refusal:
    try:
        verify_bundle(data, trust, now_s=int(time.time()))
    except VerificationError as error:
        return Refusal(tampering, error.step.value, str(error))
    raise MillmarkError(f"a tampered bundle was accepted: {tampering}", hint="do not rely on this release")


def _certificate(bundle: Bundle) -> RecordShown:
    """The certificate most worth hiding or changing: a failing one, if there is any."""
    issued = [record for record in bundle.records if record.kind == CertificateIssued.__name__]
    return max(issued, key=lambda record: int.from_bytes(record.data[_VERDICT], "big"))


def _leave_out(bundle: Bundle) -> Bundle:
    gone = _certificate(bundle)
    histories = tuple(
        replace(history, records=tuple(one for one in history.records if one != gone.sequence))
        for history in bundle.histories
    )
    return replace(bundle, histories=histories, records=tuple(one for one in bundle.records if one != gone))


def _turn_verdict(bundle: Bundle) -> Bundle:
    """Inverts the verdict, and replaces the lot's head in the state nodes, so that records and state agree."""
    old = _certificate(bundle)
    verdict = Verdict.PASS if old.data[_VERDICT][-1] == Verdict.FAIL else Verdict.FAIL
    data = old.data[: _VERDICT.start] + int(verdict).to_bytes(32, "big") + old.data[_VERDICT.stop :]
    new = replace(old, data=data)
    records = tuple(new if one == old else one for one in bundle.records)
    changed = replace(bundle, records=records)
    # With matching heads, only the proof of the state against the block can reveal the change.
    for before, after in zip(_heads(bundle), _heads(changed), strict=True):
        stored = before.lstrip(b"\0"), after.lstrip(b"\0")  # a storage value has no leading zeros
        nodes = tuple(sorted(node.replace(*stored) for node in changed.nodes))
        changed = replace(changed, nodes=nodes)
    return changed


def _heads(bundle: Bundle) -> list[bytes]:
    shown = {record.sequence: record for record in bundle.records}
    return [_head(bundle, history, shown) for history in bundle.histories]


def _head(bundle: Bundle, history: HistoryShown, shown: Mapping[int, RecordShown]) -> bytes:
    head = start_of(bundle.chain_id, bundle.ledger, bundle.ledger_id, history.subject)
    for entry in history.records:
        if isinstance(entry, int):
            record = shown[entry]
            inner = inner_of(
                sequence=record.sequence,
                participant=record.participant,
                key=record.data[12:32],
                data=record.data,
                block_time=record.block_time,
            )
            head = link(head, topic_of(HISTORY_EVENTS[record.kind]), inner)
        else:
            head = link(head, topic_of(HISTORY_EVENTS[entry.kind]), entry.inner)
    return head


def _rename(bundle: Bundle) -> Bundle:
    """Gives the part another serial number."""
    identities = [
        replace(one, identifier=one.identifier + "X") if _subject(one) in bundle.parts else one
        for one in bundle.identities
    ]
    return replace(bundle, identities=tuple(sorted(identities)))


def _choose_salt(bundle: Bundle) -> Bundle:
    """Names the part by another name key, as for a second part of the same serial number."""
    key = NameKey(secrets.token_bytes(32))
    identities = [
        replace(one, proofs=(key.prove(build_alpha(bundle, one.kind, one.creator, one.identifier)),))
        if _subject(one) in bundle.parts
        else one
        for one in bundle.identities
    ]
    return replace(bundle, identities=tuple(identities))


def _subject(identity: IdentityShown) -> bytes:
    return subject(identity.kind, identity.creator, identifier_hash(identity.salt, identity.identifier))


def _change_field(bundle: Bundle) -> Bundle:
    def change(claims: ShownClaims) -> ShownClaims:
        shown = tuple(
            (place, replace(field, value="for Nobody") if claims.disclosure.paths[place][:2] == _OPTIONS else field)
            for place, field in claims.disclosure.shown
        )
        return replace(claims, disclosure=replace(claims.disclosure, shown=shown))

    return replace(bundle, claims=tuple(change(claims) for claims in bundle.claims))


def _change_measurement(bundle: Bundle) -> Bundle:
    def change(window: bytes) -> bytes:
        return bytes([*window[:7], window[7] ^ 1, *window[8:]])  # the first of the measured integers

    return replace(bundle, inferences=tuple(replace(one, window=change(one.window)) for one in bundle.inferences))


def _change_reading(bundle: Bundle) -> Bundle:
    """Makes every operation use 1 Wh less."""

    def change(shown: EvidenceEntryShown | None) -> EvidenceEntryShown | None:
        reading = None if shown is None else parse_register_entry(shown.entry)
        if shown is None or reading is None or reading.reading.moment is not Moment.FINISH:
            return shown
        less = replace(reading, reading=replace(reading.reading, wh=reading.reading.wh - 1))
        return replace(shown, entry=build_register_data(less))

    return replace(bundle, evidence=tuple(replace(one, shown=change(one.shown)) for one in bundle.evidence))


def _drop_seal(bundle: Bundle) -> Bundle:
    return _with_seals(bundle, lambda seals: seals[:-1])


def _forge_seal(bundle: Bundle) -> Bundle:
    """Seals the block in the place of a validator, with another key."""
    digest = parse_header(bundle.headers[-1]).hash  # in round 0, the block's hash is what validators sign
    return _with_seals(bundle, lambda seals: (*seals[:-1], encode_seal(LocalSigner.generate().sign_digest(digest))))


def _with_seals(bundle: Bundle, change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Bundle:
    shown = bundle.seals
    if shown is None:
        return bundle
    seals = replace(shown.seals, seals=change(shown.seals.seals))
    return replace(bundle, seals=replace(shown, seals=seals))


_TAMPERINGS: Mapping[str, Callable[[Bundle], Bundle]] = {
    "a certificate left out": _leave_out,
    "a verdict turned, and the chain's state with it": _turn_verdict,
    "another serial number": _rename,
    "the part under a salt that its maker chose": _choose_salt,
    "other options in the order": _change_field,
    "a reading of a machine's register changed": _change_reading,
    "a measured value changed": _change_measurement,
    "sealed by one validator too few": _drop_seal,
    "a validator's seal made with another key": _forge_seal,
}
