"""Fetches what proves the chain's state to others: headers and state proofs, checkpoints, trust files.

Proofs come from the company's own node, the root of trust, and are verified before they go into a bundle.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger import errors
from millmark.ledger.bundle import SealsShown
from millmark.ledger.canonical import keccak256
from millmark.ledger.chain.chain import Chain
from millmark.ledger.chain.deploying import fetch_predecessor
from millmark.ledger.chain.node import Node, ProofAnswer
from millmark.ledger.checkpoint import Checkpoint
from millmark.ledger.headers import BlockHeader, build_qbft_preimage, encode_header, hashed_header, parse_header
from millmark.ledger.seals import (
    MAX_CHANGES,
    SealedHeader,
    collect_seals,
    faulty_of,
    parse_extra,
    verify_order,
    verify_seals,
)
from millmark.ledger.trie import EMPTY_ROOT, Account, parse_account, parse_word, verify_proof
from millmark.ledger.trust import Trusted, TrustedContract, TrustFile

_SLOTS_AT_ONCE = 256
"""Slots per request: their proofs have at most 256 x 65 nodes, far below the largest answer."""


@dataclass(frozen=True, slots=True)
class StateProofs:
    """Accounts and storage words at one block, with their proofs."""

    header: BlockHeader
    header_bytes: bytes
    """The bytes whose Keccak-256 is the block's hash (millmark.ledger.headers)."""
    accounts: Mapping[bytes, Account | None]
    """By address; None if the chain has no such account."""
    words: Mapping[tuple[bytes, bytes], bytes]
    """32 bytes by (address, slot); zeros if nothing is stored."""
    nodes: Mapping[bytes, bytes]
    """Trie nodes by hash, all of which the proofs need."""


def fetch_proofs(node: Node, wanted: Mapping[bytes, Sequence[bytes]], number: int) -> StateProofs:
    """Fetch and verify proofs of accounts and of slots in them, `wanted` by address, at block `number`. Raises
    ChainUnreachableError when the node does not have that block's state, or a proof is invalid."""
    header_bytes = _fetch_header(node, number)
    found = _Collection(parse_header(header_bytes))
    for address, slots in wanted.items():
        for part in _parts(sorted(set(slots))):
            found.add(address, part, node.proof(address, part, number))
    return StateProofs(found.header, header_bytes, found.accounts, found.words, found.nodes)


def fetch_headers(node: Node, first: int, last: int) -> tuple[bytes, ...]:
    """Fetch the encoded headers of blocks `first` to `last`, both included. Raises ChainUnreachableError, also when a
    block is not the parent of the next, as after a reorganisation."""
    headers = tuple(_fetch_header(node, number) for number in range(first, last + 1))
    parsed = [parse_header(header) for header in headers]
    for parent, child in itertools.pairwise(parsed):
        if child.parent_hash != parent.hash:
            raise errors.ChainUnreachableError(
                f"the node's block {child.number} does not follow its block {parent.number}", hint="try again"
            )
    return headers


class _Collection:
    """Collects what was proved. A node that several proofs share is kept once."""

    def __init__(self, header: BlockHeader) -> None:
        self.header = header
        self.accounts: dict[bytes, Account | None] = {}
        self.words: dict[tuple[bytes, bytes], bytes] = {}
        self.nodes: dict[bytes, bytes] = {}

    def add(self, address: bytes, slots: Sequence[bytes], answer: ProofAnswer) -> None:
        try:
            value = verify_proof(self.header.state_root, keccak256(address), answer.account)
            account = None if value is None else parse_account(value)
            root = EMPTY_ROOT if account is None else account.storage_root
            for slot, nodes in zip(slots, answer.storage, strict=True):
                self.words[address, slot] = parse_word(verify_proof(root, keccak256(slot), nodes))
        except errors.ProofError as error:
            raise errors.ChainUnreachableError(
                f"the node's proof at block {self.header.number} is invalid: {error.cause}",
                hint="check that the engine setting names the node's engine, and that it still has that block's state",
            ) from error
        self.accounts[address] = account
        self.nodes.update((keccak256(node), node) for nodes in (answer.account, *answer.storage) for node in nodes)


def _fetch_header(node: Node, number: int) -> bytes:
    block_hash, fields = node.header_fields(number)
    try:
        header = hashed_header(encode_header(fields), block_hash)
    except errors.ProofError as error:
        raise errors.ChainUnreachableError(
            f"the header of the node's block {number} is in an unknown format: {error.cause}",
            hint="use a node of an engine with Ethereum's headers",
        ) from error
    # Verified here, where the hint can help: a bundle with a wrong header would only be refused by its receiver.
    if header is None or parse_header(header).number != number:
        raise _unlike(number)
    return header


def _unlike(number: int) -> errors.ChainUnreachableError:
    return errors.ChainUnreachableError(
        f"the hash of the node's block {number} is not that of its header",
        hint="use a node of an engine with Ethereum's headers",
    )


def _parts(slots: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Split slots into requests; at least one, so that the account itself is proved, too."""
    for start in range(0, max(len(slots), 1), _SLOTS_AT_ONCE):
        yield slots[start : start + _SLOTS_AT_ONCE]


def fetch_checkpoint(chain: Chain, number: int | None = None) -> Checkpoint:
    """Return block `number`, or the last final block, as a checkpoint. Raises ChainError for a block that is not final
    yet: it may still be replaced, so nobody should sign it."""
    final = chain.final_number()
    wanted = final if number is None else number
    if not 0 <= wanted <= final:
        raise errors.ChainError(f"block {wanted} is not final", hint=f"use a block up to {final}, or wait")
    (header,) = fetch_headers(chain.node, wanted, wanted)
    return Checkpoint(chain.chain_id, chain.ledger, chain.ledger_id, wanted, parse_header(header).hash)


def verify_seen(chain: Chain, checkpoint: Checkpoint) -> None:
    """Verify that the checkpoint's block is final on this node. Raises WrongCheckpointError, ChainError."""
    if (checkpoint.chain_id, checkpoint.ledger) != (chain.chain_id, chain.ledger):
        raise errors.WrongCheckpointError(
            f"the checkpoint is for chain {checkpoint.chain_id} and ledger 0x{checkpoint.ledger.hex()}, "
            f"not for this node's chain {chain.chain_id} and ledger 0x{chain.ledger.hex()}"
        )
    if checkpoint.ledger_id != chain.ledger_id:
        raise errors.WrongCheckpointError(
            f"the checkpoint is for the ledger with the id 0x{checkpoint.ledger_id.hex()}, "
            f"not 0x{chain.ledger_id.hex()}",
            hint="the chain was made anew since: fetch a checkpoint of this one",
        )
    seen = fetch_checkpoint(chain, checkpoint.block_number)
    if seen != checkpoint:
        raise errors.WrongCheckpointError(
            f"block {checkpoint.block_number} is 0x{seen.block_hash.hex()} on this node, "
            f"not 0x{checkpoint.block_hash.hex()}",
            hint="find out which node is on a fork, and sign no checkpoint until then",
        )


def fetch_trust(chain: Chain, names: Mapping[int, str], checkpoint: Trusted) -> TrustFile:
    """Build a trust file for the connected ledger, with the contracts' code hashes in a final block. `names` are the
    participants' names by number. Raises ChainError."""
    # Once for each connection: code and predecessor are immutable, and the verifier of every bundle needs them.
    if chain.proved is None:
        chain.proved = _fetch_contracts(chain), fetch_predecessor(chain.node, chain.ledger)
    contracts, predecessor = chain.proved
    return TrustFile(
        chain.chain_id, chain.ledger_id, dict(contracts), dict(sorted(names.items())), checkpoint, predecessor
    )


def _fetch_contracts(chain: Chain) -> dict[str, TrustedContract]:
    proofs = fetch_proofs(chain.node, dict.fromkeys(chain.contracts.values(), ()), chain.final_number())
    contracts = {}
    for name, address in sorted(chain.contracts.items()):
        account = proofs.accounts[address]
        if account is None:
            raise errors.ChainError(
                f"{name} at 0x{address.hex()} does not exist in the last final block {proofs.header.number}",
                hint="wait until its deployment is final",
            )
        contracts[name] = TrustedContract(address, account.code_hash)
    return contracts


# Fetches the seals of QBFT blocks, and the headers in which validators changed, for bundles and trust files.
#
# A node's seals are verified before they go into a bundle. They differ from node to node.

_KEPT_HEADERS = 4096
_LOOKS = 64
"""Parts of the chain, at least, between which validators are compared: in each, a set that stood for a whole part is
found, although the one before it came back."""


def fetch_validators(chain: Chain) -> tuple[bytes, ...]:
    """Return the validators that the last final block lists, ascending by address. Raises InputError when the chain is
    not one of QBFT, or keeps its validators in a contract: nothing failed, but it cannot be asked for."""
    number = chain.final_number()
    try:
        listed = parse_extra(parse_header(_stored(chain, number)).extra_data).validators
        verify_order(listed)
    except errors.SealsError as error:
        raise errors.InputError(
            f"block {number} has no seals that could be verified: {error.cause}",
            hint="use a block or co-signers instead of validators: --block or --quorum",
        ) from None
    return listed


def fetch_seals(chain: Chain, number: int) -> SealsShown | None:
    """Return a quorum of the seals of final block `number`, and the set changes since the ledger was created.

    None if the chain is not one of QBFT or keeps its validators in a contract, or if the node holds no quorum of valid
    seals. Raises ChainError.
    """
    try:
        seals = collect_seals(_stored(chain, number))
    except errors.CheckpointError:
        return None
    return SealsShown(seals, _fetch_changes(chain, number))


def _fetch_changes(chain: Chain, last: int) -> tuple[SealedHeader, ...]:
    """Set changes up to block `last`, oldest first: as many of the latest ones as a verifier can follow."""
    path: list[SealedHeader] = []
    first = min(chain.deployment.created_number, last)
    for number in _changed(chain, first, last, (last - first) // _LOOKS):
        before = _validators(chain, number - 1)
        change = _sealed_by(chain, number, before)
        # What nobody can follow ends the path: who believes a set from before needs another trust file.
        path = [] if change is None else [*path, change]
    return tuple(path[-MAX_CHANGES:])


def _sealed_by(chain: Chain, number: int, before: tuple[bytes, ...]) -> SealedHeader | None:
    """The header of block `number`, sealed by enough validators of the set before; None if it is not."""
    stored = _stored(chain, number)
    try:
        found = SealedHeader(build_qbft_preimage(stored), collect_seals(stored, before))
        vouching = set(before) & set(verify_seals(found).signers)
    except errors.CheckpointError:
        return None
    return found if before and len(vouching) > faulty_of(len(before)) else None


def _changed(chain: Chain, first: int, last: int, most: int) -> Iterator[int]:
    """Numbers of blocks whose validators are not those of their parent, found by bisection. Of changes that were
    undone, those may be missing that stood for `most` blocks or fewer: they are not needed to get from the first to the
    last, but a trust file that was made meanwhile leads nowhere."""
    is_same = _validators(chain, first) == _validators(chain, last)
    if is_same and last - first <= max(most, 1):
        return
    if last == first + 1:
        yield last
        return
    # The same middles whatever the ends are, so that later bundles ask for few headers that are not kept.
    bit = (first ^ (last - 1)).bit_length() - 1
    middle = (last - 1) >> bit << bit
    yield from _changed(chain, first, middle, most)
    yield from _changed(chain, middle, last, most)


def _validators(chain: Chain, number: int) -> tuple[bytes, ...]:
    """The validators that a block lists; none if it is not one of QBFT or they are in a contract."""
    return _listed(_stored(chain, number))


@functools.lru_cache(_KEPT_HEADERS)
def _listed(header: bytes) -> tuple[bytes, ...]:
    # Each bundle compares those of the same blocks.
    try:
        return parse_extra(parse_header(header).extra_data).validators
    except errors.SealsError:
        return ()


def _stored(chain: Chain, number: int) -> bytes:
    """The header of a final block as the node holds it, with its seals. Kept, since it does not change."""
    kept = chain.stored_headers
    if number not in kept:
        block_hash, fields = chain.node.header_fields(number)
        try:
            header = encode_header(fields)
            same = hashed_header(header, block_hash) is not None
        except errors.ProofError:
            same = False
        if not same:
            raise _unlike(number)
        if len(kept) >= _KEPT_HEADERS:
            kept.clear()
        kept[number] = header
    return kept[number]
