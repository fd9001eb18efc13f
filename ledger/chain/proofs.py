"""Fetches what proves the chain's state to others: headers and state proofs, checkpoints, trust files.

Proofs come from the company's own node, the root of trust, and are verified before they go into a bundle.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain.chain import Chain
from millmark.ledger.chain.deploying import fetch_predecessor
from millmark.ledger.chain.node import Node, ProofAnswer
from millmark.ledger.checkpoint import Checkpoint
from millmark.ledger.errors import ChainError, ChainUnreachableError, ProofError, WrongCheckpointError
from millmark.ledger.headers import BlockHeader, encode_header, hashed_header, parse_header
from millmark.ledger.trie import EMPTY_ROOT, Account, parse_account, parse_word, verify_proof
from millmark.ledger.trust import Trusted, TrustedContract, TrustFile

__all__ = ["StateProofs", "fetch_checkpoint", "fetch_headers", "fetch_proofs", "fetch_trust", "verify_seen"]

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
    """Fetch and verify proofs of accounts and of slots in them, `wanted` by address, at block `number`.

    Raises ChainUnreachableError when the node does not have that block's state, or a proof is invalid.
    """
    header_bytes = _fetch_header(node, number)
    found = _Collection(parse_header(header_bytes))
    for address, slots in wanted.items():
        for part in _parts(sorted(set(slots))):
            found.add(address, part, node.proof(address, part, number))
    return StateProofs(found.header, header_bytes, found.accounts, found.words, found.nodes)


def fetch_headers(node: Node, first: int, last: int) -> tuple[bytes, ...]:
    """Fetch the encoded headers of blocks `first` to `last`, both included.

    Raises ChainUnreachableError, also when a block is not the parent of the next, as after a reorganisation.
    """
    headers = tuple(_fetch_header(node, number) for number in range(first, last + 1))
    parsed = [parse_header(header) for header in headers]
    for parent, child in itertools.pairwise(parsed):
        if child.parent_hash != parent.hash:
            raise ChainUnreachableError(
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
        except ProofError as error:
            raise ChainUnreachableError(
                f"the node's proof at block {self.header.number} is invalid: {error.cause}",
                hint="check that the engine setting names the node's engine, and that it still has that block's state",
            ) from error
        self.accounts[address] = account
        self.nodes.update((keccak256(node), node) for nodes in (answer.account, *answer.storage) for node in nodes)


def _fetch_header(node: Node, number: int) -> bytes:
    block_hash, fields = node.header_fields(number)
    try:
        header = hashed_header(encode_header(fields), block_hash)
    except ProofError as error:
        raise ChainUnreachableError(
            f"the header of the node's block {number} is in an unknown format: {error.cause}",
            hint="use a node of an engine with Ethereum's headers",
        ) from error
    # Verified here, where the hint can help: a bundle with a wrong header would only be refused by its receiver.
    if header is None or parse_header(header).number != number:
        raise ChainUnreachableError(
            f"the hash of the node's block {number} is not that of its header",
            hint="use a node of an engine with Ethereum's headers",
        )
    return header


def _parts(slots: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Split slots into requests; at least one, so that the account itself is proved, too."""
    for start in range(0, max(len(slots), 1), _SLOTS_AT_ONCE):
        yield slots[start : start + _SLOTS_AT_ONCE]


def fetch_checkpoint(chain: Chain, number: int | None = None) -> Checkpoint:
    """Return block `number`, or the last final block, as a checkpoint.

    Raises ChainError for a block that is not final yet: it may still be replaced, so nobody should sign it.
    """
    final = chain.final_number()
    wanted = final if number is None else number
    if not 0 <= wanted <= final:
        raise ChainError(f"block {wanted} is not final", hint=f"use a block up to {final}, or wait")
    (header,) = fetch_headers(chain.node, wanted, wanted)
    return Checkpoint(chain.chain_id, chain.ledger, chain.ledger_id, wanted, parse_header(header).hash)


def verify_seen(chain: Chain, checkpoint: Checkpoint) -> None:
    """Verify that the checkpoint's block is final on this node. Raises WrongCheckpointError, ChainError."""
    if (checkpoint.chain_id, checkpoint.ledger) != (chain.chain_id, chain.ledger):
        raise WrongCheckpointError(
            f"the checkpoint is for chain {checkpoint.chain_id} and ledger 0x{checkpoint.ledger.hex()}, "
            f"not for this node's chain {chain.chain_id} and ledger 0x{chain.ledger.hex()}"
        )
    if checkpoint.ledger_id != chain.ledger_id:
        raise WrongCheckpointError(
            f"the checkpoint is for the ledger with the id 0x{checkpoint.ledger_id.hex()}, "
            f"not 0x{chain.ledger_id.hex()}",
            hint="the chain was made anew since: fetch a checkpoint of this one",
        )
    seen = fetch_checkpoint(chain, checkpoint.block_number)
    if seen != checkpoint:
        raise WrongCheckpointError(
            f"block {checkpoint.block_number} is 0x{seen.block_hash.hex()} on this node, "
            f"not 0x{checkpoint.block_hash.hex()}",
            hint="find out which node is on a fork, and sign no checkpoint until then",
        )


def fetch_trust(chain: Chain, names: Mapping[int, str], checkpoint: Trusted) -> TrustFile:
    """Build a trust file for the connected ledger, with the contracts' code hashes in a final block.

    `names` are the participants' names by number. Raises ChainError.
    """
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
            raise ChainError(
                f"{name} at 0x{address.hex()} does not exist in the last final block {proofs.header.number}",
                hint="wait until its deployment is final",
            )
        contracts[name] = TrustedContract(address, account.code_hash)
    return contracts
