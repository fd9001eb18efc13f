"""Parses the values in a node's answers.

All functions but `parse_answer` raise ValueError, TypeError, KeyError or AttributeError for anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from millmark.ledger.errors import ChainUnreachableError, ProofError

__all__ = [
    "HINT",
    "RawLog",
    "Receipt",
    "parse_amount",
    "parse_answer",
    "parse_bytes",
    "parse_number",
    "parse_receipt",
    "parse_sized",
]

T = TypeVar("T")
HINT = "check that the node is in sync; try again"
_NUMBER = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as a node returns it."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receipt of a mined transaction."""

    transaction_hash: bytes
    succeeded: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    contract_address: bytes | None
    """Address of the contract that it created, if any."""
    logs: tuple[RawLog, ...]


def parse_answer(method: str, answer: Any, parse: Callable[[Any], T]) -> T:
    """Parse the answer to a method. Raises ChainUnreachableError if it does not parse: then it counts as none."""
    try:
        return parse(answer)
    except (TypeError, ValueError, KeyError, AttributeError, ProofError) as error:
        raise ChainUnreachableError(f"the node's answer to {method} cannot be used", hint=HINT) from error


def parse_number(value: Any, bits: int = 63) -> int:
    """Parse an integer; by default one that fits in a database column: a block number, time, nonce or amount of gas."""
    if not _NUMBER.fullmatch(value) or (number := int(value, 16)) >> bits:
        raise ValueError(f"not an integer below 2^{bits}")
    return number


def parse_amount(value: Any) -> int:
    return parse_number(value, 256)


def parse_bytes(value: Any) -> bytes:
    if value[:2] != "0x":
        raise ValueError("not 0x and pairs of hexadecimal digits")
    parsed = bytes.fromhex(value[2:])
    if 2 * len(parsed) + 2 != len(value):  # fromhex skips whitespace
        raise ValueError("not 0x and pairs of hexadecimal digits")
    return parsed


def parse_sized(value: Any, size: int) -> bytes:
    parsed = parse_bytes(value)
    if len(parsed) != size:
        raise ValueError(f"{len(parsed)} bytes instead of {size}")
    return parsed


def _log(raw: Any, seen: dict[Any, bytes]) -> RawLog:
    """`seen`: what was parsed of the same receipt. Its logs name the same block, contract and kind again and again."""

    def parse(value: Any, size: int) -> bytes:
        found = seen.get(value)
        if found is None or len(found) != size:
            found = seen[value] = parse_sized(value, size)
        return found

    return RawLog(
        address=parse(raw["address"], 20),
        topics=tuple([parse(topic, 32) for topic in raw["topics"]]),
        data=parse_bytes(raw["data"]),
        block_number=parse_number(raw["blockNumber"]),
        block_hash=parse(raw["blockHash"], 32),
        transaction_hash=parse(raw["transactionHash"], 32),
        log_index=parse_number(raw["logIndex"]),
    )


def parse_receipt(raw: Any) -> Receipt:
    created = raw.get("contractAddress")
    transaction_hash = parse_sized(raw["transactionHash"], 32)
    seen: dict[Any, bytes] = {}
    logs = tuple(_log(entry, seen) for entry in raw["logs"])
    # The receipts root does not cover transaction hashes, so at least they must be consistent.
    if any(log.transaction_hash != transaction_hash for log in logs):
        raise ValueError("a log belongs to another transaction")
    return Receipt(
        transaction_hash=transaction_hash,
        succeeded=parse_number(raw["status"]) == 1,
        block_number=parse_number(raw["blockNumber"]),
        block_hash=parse_sized(raw["blockHash"], 32),
        gas_used=parse_number(raw["gasUsed"]),
        contract_address=parse_sized(created, 20) if created else None,
        logs=logs,
    )
