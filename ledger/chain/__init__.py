"""JSON-RPC and contracts: the only part of the library that communicates with a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.lazy import import_on_use

if TYPE_CHECKING:
    from ledger.chain.answers import RawLog
    from ledger.chain.artifacts import load_abi, load_artifact, verify_code
    from ledger.chain.blocks import BlockTransaction
    from ledger.chain.chain import Chain, Sight
    from ledger.chain.codec import call_data, decode_log, decode_revert, multicall_data, read_calls, read_kinds
    from ledger.chain.deploying import deploy
    from ledger.chain.deployment import Deployment, read_deployment, write_deployment
    from ledger.chain.embedded import EmbeddedChain
    from ledger.chain.fees import Fees, first_fees, raised_fees
    from ledger.chain.forwarder import execute_data, read_execute
    from ledger.chain.node import Head, Node, Receipt, Reception
    from ledger.chain.profiles import PROFILES, EngineProfile, find_profile
    from ledger.chain.proofs import StateProofs, fetch_checkpoint, fetch_headers, fetch_proofs, fetch_trust, verify_seen
    from ledger.chain.receptions import fee_too_low
    from ledger.chain.seals import fetch_seals, fetch_validators
    from ledger.chain.sending import await_receipt, send_values
    from ledger.chain.transactions import SignedTransaction, Transaction, is_legacy, sign_transaction
    from ledger.chain.transport import HttpTransport, RpcError, Transport
from ledger.errors import NotInstalledError

__all__ = [
    "PROFILES",
    "BlockTransaction",
    "Chain",
    "Deployment",
    "EmbeddedChain",
    "EngineProfile",
    "Fees",
    "Head",
    "HttpTransport",
    "Node",
    "RawLog",
    "Receipt",
    "Reception",
    "RpcError",
    "Sight",
    "SignedTransaction",
    "StateProofs",
    "Transaction",
    "Transport",
    "await_receipt",
    "call_data",
    "decode_log",
    "decode_revert",
    "deploy",
    "execute_data",
    "fee_too_low",
    "fetch_checkpoint",
    "fetch_headers",
    "fetch_proofs",
    "fetch_seals",
    "fetch_trust",
    "fetch_validators",
    "find_profile",
    "first_fees",
    "is_legacy",
    "load_abi",
    "load_artifact",
    "multicall_data",
    "raised_fees",
    "read_calls",
    "read_deployment",
    "read_execute",
    "read_kinds",
    "send_values",
    "sign_transaction",
    "verify_code",
    "verify_seen",
    "write_deployment",
]

_HOMES = {
    "ledger.chain.answers": ("RawLog",),
    "ledger.chain.artifacts": ("load_abi", "load_artifact", "verify_code"),
    "ledger.chain.blocks": ("BlockTransaction",),
    "ledger.chain.chain": ("Chain", "Sight"),
    "ledger.chain.codec": (
        "call_data",
        "decode_log",
        "decode_revert",
        "multicall_data",
        "read_calls",
        "read_kinds",
    ),
    "ledger.chain.deploying": ("deploy",),
    "ledger.chain.deployment": ("Deployment", "read_deployment", "write_deployment"),
    "ledger.chain.fees": ("Fees", "first_fees", "raised_fees"),
    "ledger.chain.forwarder": ("execute_data", "read_execute"),
    "ledger.chain.node": ("Head", "Node", "Receipt", "Reception"),
    "ledger.chain.profiles": ("PROFILES", "EngineProfile", "find_profile"),
    "ledger.chain.proofs": (
        "StateProofs",
        "fetch_checkpoint",
        "fetch_headers",
        "fetch_proofs",
        "fetch_trust",
        "verify_seen",
    ),
    "ledger.chain.receptions": ("fee_too_low",),
    "ledger.chain.seals": ("fetch_seals", "fetch_validators"),
    "ledger.chain.sending": ("await_receipt", "send_values"),
    "ledger.chain.transactions": ("SignedTransaction", "Transaction", "is_legacy", "sign_transaction"),
    "ledger.chain.transport": ("HttpTransport", "RpcError", "Transport"),
}

_import_name = import_on_use(__name__, _HOMES)


def __getattr__(name: str) -> object:
    """Raises NotInstalledError if the packages of the embedded chain, which is a whole EVM, are not installed."""
    if name != "EmbeddedChain":
        return _import_name(name)
    try:
        from ledger.chain.embedded import EmbeddedChain  # noqa: PLC0415  # as the docstring says
    except ModuleNotFoundError as missing:
        raise NotInstalledError("the embedded chain", "eth-tester", "devchain") from missing
    return EmbeddedChain
