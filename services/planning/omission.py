"""Proof that a coordinator left an offer out of a plan, for anybody to check.

It holds what the owner was handed, no more: the call, its offer, the coordinator's receipt for it, and of the plan that
the coordinator signed the list of offers. That the two signatures are the coordinator's is told by the index of whoever
checks it, or offline by a trust file and the Registry's state at a block, which the file proves.

Not established: that the owner did not withdraw the offer afterwards. The coordinator shows the withdrawal if it did.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from millmark.ledger import claims, errors, evidence
from millmark.ledger.canonical import Json, canonical_json, keccak256, parse_hex32, parse_json, to_hex
from millmark.ledger.headers import BlockHeader, parse_header
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.form import Form, Hash, Size, Time, read_object
from millmark.ledger.plans.offer import Offer
from millmark.ledger.signatures import Address, Signer
from millmark.ledger.slots import KeySlots, decode_struct, slots_of
from millmark.ledger.store import Registry, Rows
from millmark.ledger.trie import TrieNode, parse_account, parse_word, verify_in
from millmark.ledger.trust import TrustFile
from millmark.services.directory.document import typed_digest
from millmark.services.planning.errors import OmissionRefusedError, PlanningError
from millmark.services.planning.offers import why_not_lawful
from millmark.services.planning.repository import CallRow, LeafRow, ReceiptRow, What
from millmark.services.planning.stream_entries import (
    OpenedLeaf,
    PlanSeal,
    parse_opened_leaf,
    parse_seal,
    recover_signer,
)

# Receipts: the coordinator's signed word that it had an offer, and when.
# The signature is over EIP-712 typed data in the domain of checkpoints (ledger/TRUST.md), all numbers unsigned:
#
#     OfferReceipt(bytes32 call,bytes32 offer,uint64 receivedAt)
#
# A receipt is given once for an offer that counts, whenever its hand-over arrives; a repeated one is the same.

_MOST: Final = 4096
_MAX_ANSWER_BYTES: Final = 2 << 20

_TYPE = keccak256(b"OfferReceipt(bytes32 call,bytes32 offer,uint64 receivedAt)")


@dataclass(frozen=True, slots=True)
class Receipt(Form):
    """Not established: whose key signed it."""

    WHAT = "a receipt"
    call: Hash
    offer: Hash
    """Leaf hash."""
    received_at: Time
    """Seconds since 1970."""
    signature: Annotated[bytes, Size(65)]
    """r, s and v = 27 or 28."""

    def recover_signer(self, chain_id: int, ledger: bytes) -> Address:
        """The address that signed. Raises PlanningError for an invalid signature; one for another ledger has another
        signer."""
        digest = _digest(chain_id, ledger, self.call, self.offer, self.received_at)
        return recover_signer(digest, self.signature, "receipt")


def sign_receipt(chain_id: int, ledger: bytes, call: bytes, offer: bytes, received_at: int, signer: Signer) -> Receipt:
    """Raises SigningError."""
    signature = signer.sign_digest(_digest(chain_id, ledger, call, offer, received_at)).to_bytes()
    return Receipt(call, offer, received_at, signature)


def parse_receipts(answer: bytes) -> tuple[Receipt, ...]:
    """The receipts in the answer to a hand-over, not verified; none if it has none that is well-formed."""
    try:
        value = parse_json(answer, max_bytes=_MAX_ANSWER_BYTES, max_depth=8)
    except errors.CanonicalError:
        return ()
    listed = value.get("receipts") if isinstance(value, dict) else None
    found = []
    for one in listed[:_MOST] if isinstance(listed, list) else ():
        with suppress(errors.PlanError):
            found.append(Receipt.parse(one))
    return tuple(found)


def verify_receipts(rows: Rows, registry: Registry, receipts: Iterable[Receipt], coordinator: int) -> list[ReceiptRow]:
    """Those that an active key of the coordinator signed, for own offers to its calls."""
    ledger, found = registry.identity(), []
    for one in receipts:
        offer, call = rows.get(LeafRow, one.offer), rows.get(CallRow, one.call)
        if ledger is None or offer is None or call is None:
            continue
        if (offer.what, offer.call, call.coordinator) != (What.OFFER, one.call, coordinator):
            continue
        try:
            signer = registry.participant_of(one.recover_signer(ledger.chain_id, ledger.ledger))
        except PlanningError:
            continue
        if signer is not None and signer.number == coordinator:
            found.append(ReceiptRow(one.offer, one.call, one.received_at, one.signature))
    return found


def _digest(chain_id: int, ledger: bytes, call: bytes, offer: bytes, received_at: int) -> bytes:
    return typed_digest(chain_id, ledger, _TYPE + call + offer + received_at.to_bytes(32, "big"))


OMISSION_FORMAT = "millmark.omission"
MAX_OMISSION_BYTES = 16 << 20
_DEPTH = 40
_MEMBERS = {"format", "version", "call", "offer", "receipt", "seal", "disclosure", "registry"}
SHOWN = ("call", "dropped", "offers", "plan")
"""Members of the plan's document that are disclosed in it."""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """What is known of a signing key."""

    participant: int
    compromised_since: int
    """Seconds since 1970; 0 if it was never declared compromised."""


FindKey: TypeAlias = Callable[[bytes], FoundKey | None]
"""Tells whose a signing key is, by its address; None if it is nobody's."""


@dataclass(frozen=True, slots=True)
class RegistryProof:
    """What the Registry stores about keys at a block, not verified."""

    headers: tuple[bytes, ...]
    """Headers of that block and of later ones up to the one that the checker believes."""
    nodes: tuple[bytes, ...]
    """Trie nodes."""


@dataclass(frozen=True, slots=True)
class Omission:
    """What is in the file. Not established: that any of it proves anything."""

    call: Call
    offer: OpenedLeaf
    """Its index and proof are not needed: the receipt names the entry."""
    receipt: Receipt
    seal: PlanSeal
    disclosure: claims.Disclosure
    """Disclosure of the plan's document."""
    registry: RegistryProof | None


def verify_omission(omission: Omission, find_key: FindKey) -> Offer:
    """Verifies that the coordinator left out an offer that it had received before its call closed. Returns the offer.

    1. The offer is one that the call asks for, and valid until it closes.
    2. The receipt names it, is of before the call closed, and is signed by the call's coordinator.
    3. The seal is for the call, and signed by its coordinator.
    4. The plan's document has the claims root that was signed; its lists, which are disclosed, lack the offer.

    Raises OmissionRefusedError for the first of them that does not hold.
    """
    call, receipt, seal = omission.call, omission.receipt, omission.seal
    offer = _verify_offer(omission)
    if (receipt.call, receipt.offer) != (call.digest, omission.offer.leaf):
        raise OmissionRefusedError("the receipt is for another offer or call")
    if receipt.received_at >= call.closes:
        raise OmissionRefusedError("the receipt is of after the call closed: such an offer need not be in the plan")
    if seal.call != call.digest:
        raise OmissionRefusedError("the plan is for another call")
    try:
        signers = [one.recover_signer(call.chain_id, call.ledger) for one in (receipt, seal)]
    except PlanningError as error:
        raise OmissionRefusedError(error.cause) from None
    for what, signer in zip(("receipt", "plan"), signers, strict=True):
        key = find_key(signer)
        if key is None or key.participant != call.coordinator:
            raise OmissionRefusedError(f"no key of the coordinator, participant {call.coordinator}, signed the {what}")
        if key.compromised_since and key.compromised_since <= receipt.received_at:
            raise OmissionRefusedError(f"the key that signed the {what} was compromised by then")
    if omission.offer.leaf in _listed(omission):
        raise OmissionRefusedError("the plan's list has the offer: it was not left out")
    return offer


def _verify_offer(omission: Omission) -> Offer:
    call = omission.call
    try:
        offer = Offer.parse(omission.offer.entry)
        reason = why_not_lawful(call, offer, {offer.machine: offer.owner})
    except errors.PlanError as error:
        raise OmissionRefusedError(f"the offer is malformed: {error.cause}") from None
    if omission.offer.kind is not evidence.LeafKind.OFFER or reason:
        raise OmissionRefusedError(f"the offer cannot count: {reason or 'it is not an offer'}")
    if offer.until < call.closes:
        raise OmissionRefusedError("the offer expired before the call closed")
    return offer


def _listed(omission: Omission) -> set[bytes]:
    """The offers that the plan lists, by a document that its seal names."""
    seal, shown = omission.seal, omission.disclosure
    try:
        claims.verify_disclosure(shown, seal.claims)
        lists = [_read(shown.value((name,))) for name in ("dropped", "offers")]
        named = shown.value(("call",)), shown.value(("plan",))
        found = {parse_hex32(str(one)) for listed in lists if isinstance(listed, list) for one in listed}
    except (errors.CanonicalError, errors.ClaimsError, errors.ProofError) as error:
        raise OmissionRefusedError(f"the plan's document is not the one that was signed: {error.cause}") from None
    if named != (canonical_json(to_hex(seal.call)).decode(), to_hex(seal.plan)):
        raise OmissionRefusedError("the document names another call or plan than the seal")
    return found


def _read(text: Json) -> Json:
    return parse_json(str(text).encode(), max_bytes=MAX_OMISSION_BYTES, max_depth=2)


# The file


def encode_omission(omission: Omission) -> bytes:
    """The file: canonical JSON and a line feed."""
    registry = omission.registry
    shown: Json = {
        "format": OMISSION_FORMAT,
        "version": 1,
        "call": omission.call.to_json(),
        "offer": omission.offer.to_json(),
        "receipt": {
            "received_at": omission.receipt.received_at,
            "signature": to_hex(omission.receipt.signature),
        },
        "seal": omission.seal.to_json(),
        "disclosure": omission.disclosure.to_json(),
        "registry": None
        if registry is None
        else {"headers": list(map(_base64, registry.headers)), "nodes": list(map(_base64, registry.nodes))},
    }
    return canonical_json(shown) + b"\n"


def parse_omission(data: bytes) -> Omission:
    """Parses a file. Raises OmissionRefusedError if it is malformed, InputError if it is something else."""
    try:
        value = parse_json(data, max_bytes=MAX_OMISSION_BYTES, max_depth=_DEPTH)
    except errors.CanonicalError as error:
        raise errors.InputError(f"it is not a proof of omission: {error.cause}") from None
    if not isinstance(value, dict) or value.get("format") != OMISSION_FORMAT:
        hint = "give a file made by `millmark plan omission --of`"
        raise errors.InputError("it is not a proof of omission", hint=hint)
    if value.keys() != _MEMBERS or value["version"] != 1:
        raise OmissionRefusedError("it is malformed, or of another version than 1", hint="update this program")
    try:
        call, offer = Call.parse(value["call"]), parse_opened_leaf(value["offer"])
        members = read_object(value["receipt"], "the receipt", ("received_at", "signature"))
        receipt = Receipt.parse({**members, "call": to_hex(call.digest), "offer": to_hex(offer.leaf)})
        disclosure, registry = claims.parse_disclosure(value["disclosure"]), _parse_registry(value["registry"])
        return Omission(call, offer, receipt, parse_seal(value["seal"]), disclosure, registry)
    except errors.MillmarkError as error:
        raise OmissionRefusedError(f"it is malformed: {error.cause}") from None


def _parse_registry(value: Json) -> RegistryProof | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"headers", "nodes"}:
        raise PlanningError("the proof of keys is malformed")
    headers, nodes = (tuple(map(_decode64, _list(value[name]))) for name in ("headers", "nodes"))
    if not headers:
        raise PlanningError("the proof of keys has no header")
    return RegistryProof(headers, nodes)


# Whose keys they are


def find_key_in(
    proof: RegistryProof,
    trust: TrustFile,
    chain_id: int,
    ledger: bytes,
    verify_headers: Callable[[Sequence[BlockHeader]], None],
) -> FindKey:
    """Reads keys from the Registry's state that the file proves. `verify_headers` verifies that the first header is of
    a block that is believed, or of an ancestor of one. Raises OmissionRefusedError."""
    if (chain_id, ledger) != (trust.chain_id, trust.ledger.address):
        raise OmissionRefusedError("it is about another ledger than that of the trust file")
    nodes, used = {keccak256(node): node for node in proof.nodes}, dict[bytes, TrieNode]()
    try:
        headers = [parse_header(header) for header in proof.headers]
        verify_headers(headers)
        account = verify_in(nodes, headers[0].state_root, keccak256(trust.registry.address), used)
        if account is None or parse_account(account).code_hash != trust.registry.code_hash:
            raise errors.ProofError("the Registry is not there, or has other code")
        root = parse_account(account).storage_root
    except errors.MillmarkError as error:
        raise OmissionRefusedError(f"the proof of keys is refused: {error.cause}", hint=error.hint) from None
    return _Keys(nodes, used, root)


class _Keys:
    """The Registry's keys in a state that was verified."""

    def __init__(self, nodes: Mapping[bytes, bytes], used: dict[bytes, TrieNode], root: bytes) -> None:
        self._nodes, self._used, self._root = nodes, used, root

    def __call__(self, address: bytes) -> FoundKey | None:
        try:
            slots = slots_of(KeySlots, address)
            words = [parse_word(verify_in(self._nodes, self._root, keccak256(slot), self._used)) for slot in slots]
            key = decode_struct(KeySlots, words)
        except errors.ProofError as error:
            raise OmissionRefusedError(f"the proof of keys is refused: {error.cause}") from None
        return FoundKey(key.participant, key.compromised_since) if key.participant else None


def _list(value: Json) -> Sequence[Json]:
    if not isinstance(value, list):
        raise PlanningError("a list is missing")
    return value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode64(value: Json) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except binascii.Error:
        raise PlanningError("a member is not base64") from None
