"""Steps 2 to 4 and 7: the contracts and their storage at the proof block, that block, and identifiers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from millmark.ledger import checkpoint, errors
from millmark.ledger.bundle import Bundle, IdentityShown
from millmark.ledger.canonical import keccak256, sha256, to_hex
from millmark.ledger.headers import BlockHeader
from millmark.ledger.ids import SubjectKind, canonical_identifier, subject
from millmark.ledger.names import subjects_of, verify_name
from millmark.ledger.records import ModelState
from millmark.ledger.seals import SealedBlock, SealedHeader, verify_changes, verify_reached, verify_seals
from millmark.ledger.slots import (
    KeySlots,
    MachineSlots,
    ModelSlots,
    NameKeySlots,
    ParticipantSlots,
    StreamSlots,
    decode_struct,
    head_slot,
    machine_slot,
    slots_of,
)
from millmark.ledger.trie import Account, TrieNode, parse_account, parse_word, verify_in
from millmark.ledger.trust import BelievedBlock, TrustFile, Validators
from millmark.ledger.verify._state import Proved, State
from millmark.ledger.verify.report import CheckpointRefused, IdentifiersRefused, ProofsRefused, TrustRefused

K = TypeVar("K", int, bytes)
V = TypeVar("V")


class StateProof:
    """Reads the state from a bundle's trie nodes, and remembers which of them were needed."""

    def __init__(self, bundle: Bundle, header: BlockHeader) -> None:
        self._nodes = {keccak256(node): node for node in bundle.nodes}
        self._used: dict[bytes, TrieNode] = {}
        self._root = header.state_root
        self._storage_roots: dict[bytes, bytes] = {}

    def verify_contracts(self, bundle: Bundle, trust: TrustFile) -> None:
        """Step 2: the bundle is about the trust file's chain and contracts, and each address has the trusted code.
        Raises TrustRefused. Not established: which contracts it lists; see `verify_listed`."""
        _verify_same("chain id", bundle.chain_id, trust.chain_id)
        _verify_same("registry", bundle.registry, trust.registry.address)
        _verify_same("ledger", bundle.ledger, trust.ledger.address)
        _verify_same("ledger id", bundle.ledger_id, trust.ledger_id)
        trusted = {contract.address: (name, contract.code_hash) for name, contract in trust.contracts.items()}
        for address, (name, code_hash) in trusted.items():
            account = self._account(name, address)
            _verify_same(f"code hash of {name}", account.code_hash, code_hash)
            self._storage_roots[address] = account.storage_root

    def _account(self, name: str, address: bytes) -> Account:
        try:
            value = verify_in(self._nodes, self._root, keccak256(address), self._used)
            if value is None:
                raise errors.ProofError("the account does not exist")
            return parse_account(value)
        except errors.ProofError as error:
            raise TrustRefused(f"account of {name}: {error.cause}") from None

    def read(self, bundle: Bundle) -> Proved:
        """Step 4: what the contracts store about everything that the bundle lists. Raises ProofsRefused. Also refused
        is a node that is not needed: with superfluous bytes, the same bundle could have many texts."""
        registry, ledger = bundle.registry, bundle.ledger
        machines = [identity for identity in bundle.identities if identity.kind is SubjectKind.MACHINE]
        proved = Proved(
            heads={one.subject: self._head(ledger, one.subject) for one in bundle.histories},
            participants=self._table(registry, ParticipantSlots, bundle.participants, lambda one: one.sequence != 0),
            keys=self._table(registry, KeySlots, bundle.keys, lambda one: one.participant != 0),
            machines=self._table(registry, MachineSlots, bundle.machines, lambda one: one.owner != 0),
            models=self._table(registry, ModelSlots, bundle.models, lambda one: one.state is not ModelState.NONE),
            streams=self._table(ledger, StreamSlots, bundle.streams, lambda one: one.sequence != 0),
            named_machines={name: self._machine(registry, name) for name in map(subject_of, machines)},
            name_keys=self._name_keys(registry, bundle.identities),
            taken={name: taken for one in bundle.identities for name, taken in self._earlier(bundle, one)},
        )
        unused = len(self._nodes) - len(self._used)
        if unused:
            raise ProofsRefused(f"{unused} trie nodes belong to no proof")
        return proved

    def _table(self, address: bytes, kind: type[V], names: Iterable[K], exists: Callable[[V], bool]) -> dict[K, V]:
        found: dict[K, V] = {}
        for name in names:
            shown = f"{kind.__name__.removesuffix('Slots').lower()} {_shown(name)}"
            try:
                value = decode_struct(kind, [self._word(address, slot) for slot in slots_of(kind, name)])
            except errors.ProofError as error:
                raise ProofsRefused(f"{shown}: {error.cause}") from None
            # A struct of zeros proves that the thing does not exist; a bundle must not list such.
            if not exists(value):
                raise ProofsRefused(f"{shown} does not exist")
            found[name] = value
        return found

    def _head(self, address: bytes, name: bytes) -> bytes:
        return self._named(address, head_slot(name), "the head", name)

    def _machine(self, address: bytes, name: bytes) -> int:
        return int.from_bytes(self._named(address, machine_slot(name), "the number of a machine", name), "big")

    def _named(self, address: bytes, slot: bytes, what: str, name: bytes) -> bytes:
        try:
            return self._word(address, slot)
        except errors.ProofError as error:
            raise ProofsRefused(f"{what}: {error.cause}", subject=name) from None

    def _name_keys(self, address: bytes, identities: Iterable[IdentityShown]) -> dict[tuple[int, int], NameKeySlots]:
        """The name keys of the identities' proofs, and for each the one that follows: it may not exist."""
        found = {}
        for creator, index in sorted({(one.creator, at) for one in identities for at in range(len(one.proofs) + 1)}):
            try:
                words = [self._word(address, slot) for slot in slots_of(NameKeySlots, creator, index)]
                found[creator, index] = decode_struct(NameKeySlots, words)
            except errors.ProofError as error:
                raise ProofsRefused(f"name key {index} of participant {creator}: {error.cause}") from None
        return found

    def _earlier(self, bundle: Bundle, one: IdentityShown) -> Iterator[tuple[bytes, bool]]:
        """The subjects of an identifier under earlier name keys than its own, and whether they are recorded."""
        for name in subjects_of(one.kind, one.creator, one.identifier, one.proofs[:-1]):
            if one.kind is SubjectKind.MACHINE:
                yield name, self._machine(bundle.registry, name) != 0
            else:
                slot = slots_of(StreamSlots, name)[0] if one.kind is SubjectKind.STREAM else head_slot(name)
                yield name, any(self._named(bundle.ledger, slot, "an earlier name", name))

    def _word(self, address: bytes, slot: bytes) -> bytes:
        return parse_word(verify_in(self._nodes, self._storage_roots[address], keccak256(slot), self._used))


def verify_listed(bundle: Bundle, trust: TrustFile) -> None:
    """Step 2: the bundle lists the trust file's contracts and no others. Raises TrustRefused."""
    trusted = {contract.address: name for name, contract in trust.contracts.items()}
    for address in bundle.contracts:
        if address not in trusted:
            raise TrustRefused(f"the trust file does not name the contract at {to_hex(address)}")
    for address, name in trusted.items():
        if address not in bundle.contracts:
            raise TrustRefused(f"the bundle does not prove the account of {name} at {to_hex(address)}")


def subject_of(identity: IdentityShown) -> bytes:
    """The subject of an identifier, whose spelling is not checked. Raises ProofsRefused."""
    hashed = sha256(identity.salt + identity.identifier.encode())
    try:
        return subject(identity.kind, identity.creator, hashed)
    except errors.RecordError as error:
        raise ProofsRefused(f"{identity.identifier}: {error.cause}") from None


def _verify_same(what: str, found: object, trusted: object) -> None:
    if found != trusted:
        raise TrustRefused(f"the {what} is {_shown(found)}, but the trust file says {_shown(trusted)}")


def _shown(value: object) -> str:
    return to_hex(value) if isinstance(value, bytes) else str(value)


# Step 3: the block that is believed, and why, and that the proof block is near it and not too old.


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why the block of the last header is believed."""

    signers: tuple[bytes, ...]
    """Addresses that signed the checkpoint."""
    sealed: SealedBlock | None = None
    """The block with the validators that sealed it; None if the bundle has no seals."""
    changes: tuple[SealedBlock, ...] = ()
    """Set changes from the trust file's validators to the block's, as far as they were needed."""


def verify_checkpoint(
    bundle: Bundle, trust: TrustFile, headers: tuple[BlockHeader, ...], now_s: int, max_age_s: int
) -> Reasons:
    """Step 3, except for the distance. Raises CheckpointRefused."""
    try:
        signed = _signed(bundle, headers[-1])
        signers = signed.signers()
        if any(one >= two for one, two in itertools.pairwise(signers)):
            raise errors.WrongCheckpointError("the signatures are not in the order of their signers")
        sealed, path = _seals(bundle)
        if isinstance(trust.checkpoint, Validators):
            changes = _verify_sealed(trust, trust.checkpoint, sealed, path, signed)
            _verify_changes_age(changes, trust, signed, now_s, max_age_s)
            believed = BelievedBlock(headers[-1].number, headers[-1].hash)
        else:
            changes, believed = (), checkpoint.verify_believed(trust, signed)
        checkpoint.verify_ancestry(headers, believed)
        checkpoint.verify_age(headers[0], now_s, max_age_s)
    except errors.MillmarkError as error:
        raise CheckpointRefused(error.cause, hint=error.hint) from None
    return Reasons(signers, sealed, changes)


def verify_distance(headers: tuple[BlockHeader, ...], max_behind: int) -> None:
    """Step 3: the proof block is as near to the believed one as the receiver asks."""
    behind = headers[-1].number - headers[0].number
    if behind > max_behind:
        raise CheckpointRefused(
            f"the proof block is {behind} blocks before the one that is believed; {max_behind} are allowed",
            hint="get a new bundle, or allow more with --max-behind",
        )


def _signed(bundle: Bundle, last: BlockHeader) -> checkpoint.SignedCheckpoint:
    point = checkpoint.Checkpoint(bundle.chain_id, bundle.ledger, bundle.ledger_id, last.number, last.hash)
    return checkpoint.SignedCheckpoint(point, bundle.signatures)


def _seals(bundle: Bundle) -> tuple[SealedBlock | None, tuple[SealedBlock, ...]]:
    """The sealed block and the set changes, whether the trust file needs them or not: no byte may be arbitrary."""
    if bundle.seals is None:
        return None, ()
    sealed = verify_seals(SealedHeader(bundle.headers[-1], bundle.seals.seals))
    return sealed, verify_changes(bundle.seals.changes, sealed)


def _verify_sealed(
    trust: TrustFile,
    believed: Validators,
    sealed: SealedBlock | None,
    path: tuple[SealedBlock, ...],
    signed: checkpoint.SignedCheckpoint,
) -> tuple[SealedBlock, ...]:
    """The trust file's validators sealed the block, or those did to which they changed. Returns the changes needed."""
    if sealed is None:
        raise errors.WrongCheckpointError(
            "the trust file requires the validators' seals, and the bundle has none",
            hint="get a bundle made with a node that holds the seals, or a trust file that names a block or co-signers",
        )
    if signed.signatures and believed.cosigners is not None:
        checkpoint.verify_believed(trust, signed)
    return verify_reached(believed.addresses, path, sealed)


def _verify_changes_age(
    changes: Sequence[SealedBlock], trust: TrustFile, signed: checkpoint.SignedCheckpoint, now_s: int, max_age_s: int
) -> None:
    """A set change that is too old is believed only if co-signers vouch for the block: the keys of validators that
    retired long ago may have leaked since."""
    oldest = min((change.header.timestamp for change in changes), default=now_s)
    if now_s - oldest > max_age_s and not (signed.signatures and trust.cosigners is not None):
        raise errors.CheckpointTooOldError(
            f"the validators changed {(now_s - oldest) // 86_400} days ago; at most {max_age_s / 86_400:g} days are "
            "allowed without a co-signed checkpoint",
            hint="get a present trust file, or a bundle for a checkpoint that its co-signers signed",
        )


# Step 7: identifiers lead to the subjects that they name, and their creators cannot show them for others.


def verify_identifiers(bundle: Bundle, state: State, *, nameless: bool) -> dict[bytes, str]:
    """Step 7: every identifier is canonical, its salt is that of its creator's name key, and it leads to a subject that
    the bundle proves; every part has one.

    With `nameless`, parts may lack an identifier. Returns the identifiers by subject. Raises IdentifiersRefused.
    """
    found: dict[bytes, str] = {}
    for identity in bundle.identities:
        name = subject_of(identity)
        _verify_spelling(identity, name)
        _verify_key(bundle, state, identity, name)
        _verify_place(state, identity, name)
        found[name] = identity.identifier
    for name in bundle.parts:
        if name not in found and not nameless:
            raise IdentifiersRefused(
                "the part has no identifier", subject=name, hint="if the bundle is from a recall, accept any status"
            )
    return found


def _verify_spelling(identity: IdentityShown, name: bytes) -> None:
    try:
        canonical = canonical_identifier(identity.identifier)
    except errors.IdentifierError as error:
        raise IdentifiersRefused(f"{identity.identifier}: {error.cause}", subject=name) from None
    if canonical != identity.identifier:
        cause = f"{identity.identifier} is not in canonical form, which is {canonical}"
        raise IdentifiersRefused(cause, subject=name)


def _verify_key(bundle: Bundle, state: State, identity: IdentityShown, name: bytes) -> None:
    """The proofs are valid under the creator's name keys, and under the earlier ones nothing is recorded."""
    kind, creator, identifier, proofs = identity.kind, identity.creator, identity.identifier, identity.proofs
    hashes = [state.proved.name_keys[creator, index].name_key_hash for index in range(len(proofs))]
    try:
        verify_name(bundle, kind, creator, identifier, proofs, hashes)
    except errors.ProofError as error:
        raise IdentifiersRefused(f"the salt of {identifier}: {error.cause}", subject=name) from None
    for earlier in subjects_of(kind, creator, identifier, proofs[:-1]):
        if state.proved.taken[earlier]:
            raise IdentifiersRefused(
                f"{identifier} names another {kind.name.lower()}, under an earlier name key", subject=name
            )


def _verify_place(state: State, identity: IdentityShown, name: bytes) -> None:
    """The subject is one of the bundle's, and was recorded before its creator replaced the key that named it.
    Otherwise, a subject under the earlier key could still be recorded, and shown, after one under the later key was."""
    following = state.proved.name_keys[identity.creator, len(identity.proofs)]
    places: Mapping[SubjectKind, object] = {
        SubjectKind.ORDER: state.orders,
        SubjectKind.LOT: state.lots,
        SubjectKind.STREAM: state.proved.streams,
    }
    if identity.kind is SubjectKind.MACHINE:
        known = state.proved.named_machines[name] in state.proved.machines
    else:
        known = name in places[identity.kind]  # type: ignore[operator]  # a mapping by subject
    if not known:
        raise IdentifiersRefused(
            f"{identity.identifier} does not lead to any {identity.kind.name.lower()} in the bundle", subject=name
        )
    if following.set_at and not _precedes(state, identity.kind, name, following):
        raise IdentifiersRefused(
            f"{identity.identifier} was recorded under a name key that its creator had replaced", subject=name
        )


def _precedes(state: State, kind: SubjectKind, name: bytes, key: NameKeySlots) -> bool:
    """Whether a subject was recorded before a name key was set; assumed of streams, whose state has no time of it."""
    if kind is SubjectKind.MACHINE:
        return state.proved.named_machines[name] < key.sequence
    if kind is SubjectKind.STREAM:
        return True
    made = state.orders[name].sequence if kind is SubjectKind.ORDER else state.lots[name].sequence
    return state.entries_of[name][made].time < key.set_at
