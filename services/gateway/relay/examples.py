"""Answers of the relay's routes for the documentation."""

from __future__ import annotations

from typing import Any

from ledger.store.outbox import OutboxState
from services.gateway.relay.relay import LONGEST_S, MOST_GAS
from services.gateway.relay.views import RelayedLog, RelayedRequest, RelayTerms, Simulation

__all__ = ["build_relay_examples"]

_CHAIN_ID, _DEADLINE = 131277322940537, 1_772_444_100
_TOPICS = (b"\x1b" * 32, (31).to_bytes(32, "big"), (5).to_bytes(32, "big"), b"\x2c" * 32)


def build_relay_examples() -> dict[str, dict[str, Any]]:
    """By operation id and name."""
    error = (
        "GateClosed(lot=0x1a1a, inspector=6, model=9); have the order's inspector certify the lot on the order's model"
    )
    return {
        "relayRequest": {"queued": _request(OutboxState.QUEUED)},
        "getRelayedRequest": {"final": _request(OutboxState.FINAL), "queued": _request(OutboxState.QUEUED)},
        "getRelayTerms": {
            "now": RelayTerms(_CHAIN_ID, b"\x4d" * 20, 31, 31, _DEADLINE - 304, _DEADLINE - 300, MOST_GAS, LONGEST_S),
        },
        "simulateRelay": {"taken": Simulation(84_000, None, None), "refused": Simulation(None, "GateClosed", error)},
    }


def _request(state: OutboxState) -> RelayedRequest:
    final = state is OutboxState.FINAL
    return RelayedRequest(
        digest=b"\x6d" * 32,
        key=b"\x5c" * 20,
        nonce=31,
        deadline=_DEADLINE,
        kinds=("Anchor",),
        state=state,
        error_name=None,
        error=None,
        transaction_hash=b"\x7e" * 32 if final else None,
        block_number=987 if final else None,
        block_hash=b"\x8f" * 32 if final else None,
        gas_used=71_204 if final else None,
        logs=(RelayedLog(b"\x22" * 20, _TOPICS, b"\x5c" * 32, 0),) if final else (),
    )
