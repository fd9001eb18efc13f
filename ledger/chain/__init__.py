"""JSON-RPC and contracts: the only part of the library that communicates with a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millmark.ledger.lazy import import_on_use

if TYPE_CHECKING:
    from millmark.ledger.chain.blocks import BlockTransaction, RawLog, Receipt
    from millmark.ledger.chain.chain import Chain, Sight
    from millmark.ledger.chain.codec import (
        call_data,
        decode_log,
        decode_revert,
        load_abi,
        load_artifact,
        multicall_data,
        read_calls,
        read_kinds,
        verify_code,
    )
    from millmark.ledger.chain.deploying import Deployment, deploy, read_deployment, write_deployment
    from millmark.ledger.chain.embedded import EmbeddedChain
    from millmark.ledger.chain.forwarder import execute_data, read_execute
    from millmark.ledger.chain.node import Head, Node, Reception, fee_too_low
    from millmark.ledger.chain.profiles import PROFILES, EngineProfile, Fees, find_profile, first_fees, raised_fees
    from millmark.ledger.chain.proofs import (
        StateProofs,
        fetch_checkpoint,
        fetch_headers,
        fetch_proofs,
        fetch_seals,
        fetch_trust,
        fetch_validators,
        verify_seen,
    )
    from millmark.ledger.chain.sending import (
        SignedTransaction,
        Transaction,
        await_receipt,
        is_legacy,
        send_values,
        sign_transaction,
    )
    from millmark.ledger.chain.transport import HttpTransport, RpcError, Transport
from millmark.ledger.errors import NotInstalledError

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
    "millmark.ledger.chain.blocks": ("BlockTransaction", "RawLog", "Receipt"),
    "millmark.ledger.chain.chain": ("Chain", "Sight"),
    "millmark.ledger.chain.codec": (
        "call_data",
        "decode_log",
        "decode_revert",
        "load_abi",
        "load_artifact",
        "multicall_data",
        "read_calls",
        "read_kinds",
        "verify_code",
    ),
    "millmark.ledger.chain.deploying": ("Deployment", "deploy", "read_deployment", "write_deployment"),
    "millmark.ledger.chain.forwarder": ("execute_data", "read_execute"),
    "millmark.ledger.chain.node": ("Head", "Node", "Reception", "fee_too_low"),
    "millmark.ledger.chain.profiles": (
        "PROFILES",
        "EngineProfile",
        "Fees",
        "find_profile",
        "first_fees",
        "raised_fees",
    ),
    "millmark.ledger.chain.proofs": (
        "StateProofs",
        "fetch_checkpoint",
        "fetch_headers",
        "fetch_proofs",
        "fetch_seals",
        "fetch_trust",
        "fetch_validators",
        "verify_seen",
    ),
    "millmark.ledger.chain.sending": (
        "SignedTransaction",
        "Transaction",
        "await_receipt",
        "is_legacy",
        "send_values",
        "sign_transaction",
    ),
    "millmark.ledger.chain.transport": ("HttpTransport", "RpcError", "Transport"),
}

_import_name = import_on_use(__name__, _HOMES)


def __getattr__(name: str) -> object:
    """Raises NotInstalledError if the packages of the embedded chain, which is a whole EVM, are not installed."""
    if name != "EmbeddedChain":
        return _import_name(name)
    try:
        from millmark.ledger.chain.embedded import EmbeddedChain  # noqa: PLC0415  # the EVM takes a second to import
    except ModuleNotFoundError as missing:
        raise NotInstalledError("the embedded chain", "eth-tester", "devchain") from missing
    return EmbeddedChain
