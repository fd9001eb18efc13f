"""Steps 2 and 4: the contracts and their storage in the state at the proof block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from millmark.ledger.bundle import Bundle, IdentityShown
from millmark.ledger.canonical import keccak256, sha256, to_hex
from millmark.ledger.errors import ProofError, RecordError
from millmark.ledger.headers import BlockHeader
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.names import subjects_of
from millmark.ledger.records import ModelState
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
from millmark.ledger.trust import TrustFile
from millmark.ledger.verify._state import Proved
from millmark.ledger.verify.refusals import ProofsRefused, TrustRefused

__all__ = ["StateProof", "subject_of", "verify_listed"]

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

        Raises TrustRefused. Not established: which contracts it lists; see `verify_listed`.
        """
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
                raise ProofError("the account does not exist")
            return parse_account(value)
        except ProofError as error:
            raise TrustRefused(f"account of {name}: {error.cause}") from None

    def read(self, bundle: Bundle) -> Proved:
        """Step 4: what the contracts store about everything that the bundle lists. Raises ProofsRefused.

        Also refused is a node that is not needed: with superfluous bytes, the same bundle could have many texts.
        """
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
            except ProofError as error:
                raise ProofsRefused(f"{shown}: {error.cause}") from None
            # A struct of zeros proves that the thing does not exist; a bundle must not list such.
            if not exists(value):
                raise ProofsRefused(f"{shown} does not exist")
            found[name] = value
        return found

    def _head(self, address: bytes, name: bytes) -> bytes:
        try:
            return self._word(address, head_slot(name))
        except ProofError as error:
            raise ProofsRefused(f"the head: {error.cause}", subject=name) from None

    def _machine(self, address: bytes, name: bytes) -> int:
        try:
            return int.from_bytes(self._word(address, machine_slot(name)), "big")
        except ProofError as error:
            raise ProofsRefused(f"the number of a machine: {error.cause}", subject=name) from None

    def _name_keys(self, address: bytes, identities: Iterable[IdentityShown]) -> dict[tuple[int, int], NameKeySlots]:
        """The name keys of the identities' proofs, and for each the one that follows: it may not exist."""
        found = {}
        for creator, index in sorted({(one.creator, at) for one in identities for at in range(len(one.proofs) + 1)}):
            try:
                words = [self._word(address, slot) for slot in slots_of(NameKeySlots, creator, index)]
                found[creator, index] = decode_struct(NameKeySlots, words)
            except ProofError as error:
                raise ProofsRefused(f"name key {index} of participant {creator}: {error.cause}") from None
        return found

    def _earlier(self, bundle: Bundle, one: IdentityShown) -> Iterator[tuple[bytes, bool]]:
        """The subjects of an identifier under earlier name keys than its own, and whether they are recorded."""
        for name in subjects_of(one.kind, one.creator, one.identifier, one.proofs[:-1]):
            if one.kind is SubjectKind.MACHINE:
                yield name, self._machine(bundle.registry, name) != 0
            else:
                slot = slots_of(StreamSlots, name)[0] if one.kind is SubjectKind.STREAM else head_slot(name)
                try:
                    yield name, any(self._word(bundle.ledger, slot))
                except ProofError as error:
                    raise ProofsRefused(f"an earlier name: {error.cause}", subject=name) from None

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
    except RecordError as error:
        raise ProofsRefused(f"{identity.identifier}: {error.cause}") from None


def _verify_same(what: str, found: object, trusted: object) -> None:
    if found != trusted:
        raise TrustRefused(f"the {what} is {_shown(found)}, but the trust file says {_shown(trusted)}")


def _shown(value: object) -> str:
    return to_hex(value) if isinstance(value, bytes) else str(value)
