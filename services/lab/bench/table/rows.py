"""The rows of the table, in order. One declaration each: name, peer, measurement, what it should reach, and its budget."""

from __future__ import annotations

from services.lab.bench.table.declared import Bound, Goal, Row

__all__ = ["ROWS"]

ROWS = (
    Row(
        "typed-data",
        "hash, sign and recover EIP-712 typed data",
        "eth-account with coincurve",
        "hashing:measure_typed_data",
        (
            Goal("digest", "hash a forward request; eth-account", Bound.TIMES, 35),
            Goal("cycle", "sign and recover it; eth-account", Bound.TIMES, 8),
        ),
        60,
    ),
    Row(
        "merkle",
        "Merkle tree of 100,000 entries of 100 bytes",
        "pymerkle; OpenZeppelin merkle-tree",
        "hashing:measure_merkle",
        (
            Goal("build pymerkle", "build it, same root; pymerkle", Bound.TIMES, 12),
            Goal("prove pymerkle", "one inclusion proof; pymerkle", Bound.TIMES, 15),
            Goal("build openzeppelin", "build it (another tree); OpenZeppelin"),
            Goal("prove openzeppelin", "one inclusion proof; OpenZeppelin"),
        ),
        120,
    ),
    Row(
        "claims",
        "claims root of a document of 50 fields",
        "plain json and hashlib, no disclosure",
        "hashing:measure_claims",
        (Goal("root", "salted root of 50 fields; plain json and hashlib", Bound.TIMES, 1),),
        30,
    ),
)
