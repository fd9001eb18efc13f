"""Checkpoints and trust files from this company's own node, the root of trust."""

from __future__ import annotations

from collections.abc import Mapping

from ledger.chain.chain import Chain
from ledger.chain.proofs import fetch_headers, fetch_proofs
from ledger.checkpoint import Checkpoint
from ledger.errors import ChainError, WrongCheckpointError
from ledger.headers import parse_header
from ledger.trust import BelievedBlock, Cosigners, TrustedContract, TrustFile

__all__ = ["fetch_checkpoint", "fetch_trust", "verify_seen"]


def fetch_checkpoint(chain: Chain, number: int | None = None) -> Checkpoint:
    """Return block `number`, or the last final block, as a checkpoint.

    Raises ChainError for a block that is not final yet: it may still be replaced, so nobody should sign it.
    """
    final = chain.final_number()
    wanted = final if number is None else number
    if not 0 <= wanted <= final:
        raise ChainError(f"block {wanted} is not final", hint=f"use a block up to {final}, or wait")
    (header,) = fetch_headers(chain.node, chain.profile, wanted, wanted)
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


def fetch_trust(chain: Chain, names: Mapping[int, str], checkpoint: BelievedBlock | Cosigners) -> TrustFile:
    """Build a trust file for the connected ledger, with the contracts' code hashes in the last final block.

    `names` are the participants' names by number. Raises ChainError.
    """
    addresses = chain.contracts
    proofs = fetch_proofs(chain.node, chain.profile, dict.fromkeys(addresses.values(), ()), chain.final_number())
    contracts = {}
    for name, address in sorted(addresses.items()):
        account = proofs.accounts[address]
        if account is None:
            raise ChainError(
                f"{name} at 0x{address.hex()} does not exist in the last final block {proofs.header.number}",
                hint="wait until its deployment is final",
            )
        contracts[name] = TrustedContract(address, account.code_hash)
    return TrustFile(chain.chain_id, chain.ledger_id, contracts, dict(sorted(names.items())), checkpoint)
