"""The rows of the table, in order. One declaration each: name, peer, measurement, what it should reach, and its budget."""

from __future__ import annotations

from services.lab.bench.table.declared import Bound, Goal, Row

__all__ = ["ROWS"]

ROWS = (
    Row(
        "anchor-gas",
        "gas of an anchored entry, 100,000 in a batch",
        "EAS: attest; multiTimestamp",
        "chain_gas:measure_anchor_gas",
        (
            Goal("attest", "gas of an anchored entry; EAS attest", Bound.TIMES, 500_000),
            Goal("multiTimestamp", "the same; EAS multiTimestamp, 300 in a transaction", Bound.TIMES, 45_000),
        ),
        90,
    ),
    Row(
        "record-gas",
        "gas of a record, 50 in a transaction",
        "EAS multiAttest",
        "chain_gas:measure_record_gas",
        (
            Goal("new", "dearest record that begins a history; EAS multiAttest", Bound.TIMES, 3.6),
            Goal("update", "dearest record about a subject that is there; EAS multiAttest", Bound.TIMES, 7.8),
            Goal("dearer", "kinds dearer than tests/vectors/gas.json", Bound.OWN, 0),
        ),
        120,
    ),
    Row(
        "ingest",
        "durable ingest of a node's events, in batches of 500",
        "pydantic, eth-account, pymerkle, SQLite",
        "ingest:measure_ingest",
        (
            Goal("ingest", "one signature for 500 events; one for each, and a commit", Bound.TIMES, 60),
            Goal("ingest wall", "the same, wall time"),
            Goal("check", "each event's signature checked; the same", Bound.TIMES, 8),
            Goal("check wall", "the same, wall time"),
        ),
        60,
    ),
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
    Row(
        "index",
        "index of 6,000 records, 50 a block, reorg-safe",
        "web3.py get_logs loop, not safe",
        "chain:measure_index_batches",
        (
            Goal("cpu", "index a record, 50 a block; web3.py get_logs", Bound.TIMES, 10),
            Goal("wall", "the same, wall time"),
        ),
        90,
    ),
    Row(
        "index-alone",
        "index of 1,500 records, one a block, reorg-safe",
        "web3.py get_logs loop, not safe",
        "chain:measure_index_alone",
        (
            Goal("cpu", "index a record, one a block; web3.py get_logs", Bound.TIMES, 3),
            Goal("wall", "the same, wall time"),
        ),
        90,
    ),
    Row(
        "write",
        "records written to anvil, 50 a transaction",
        "textbook web3.py; pipelined web3.py",
        "chain:measure_write",
        (
            Goal("textbook", "write a record, 50 a transaction; textbook web3.py", Bound.TIMES, 30),
            Goal("textbook wall", "the same, wall time", Bound.TIMES, 150),
            Goal("pipelined", "write a record, 50 a transaction; pipelined web3.py", Bound.TIMES, 12),
            Goal("pipelined wall", "the same, wall time"),
        ),
        90,
    ),
    Row(
        "write-alone",
        "records written to anvil, one a transaction",
        "pipelined web3.py",
        "chain:measure_write_alone",
        (
            Goal("pipelined", "write a record, one a transaction; pipelined web3.py", Bound.TIMES, 1.5),
            Goal("pipelined wall", "the same, wall time"),
        ),
        60,
    ),
    Row(
        "lineage",
        "lineage in a plant of 200,000 lots",
        "SQLAlchemy query; PostgreSQL recursive query; rustworkx in memory",
        "lineage:measure_lineage",
        (
            Goal("ancestors orm", "ancestors of 600; SQLAlchemy query", Bound.TIMES, 25),
            Goal("ancestors postgresql", "the same; PostgreSQL recursive query, wall time", Bound.TIMES, 10),
            Goal("ancestors rustworkx", "the same; rustworkx in memory", Bound.TIMES, 1),
            Goal("descendants orm", "descendants of 10,000; SQLAlchemy query", Bound.TIMES, 10),
            Goal("descendants postgresql", "the same; PostgreSQL recursive query, wall time"),
            Goal("descendants rustworkx", "the same; rustworkx in memory"),
        ),
        180,
    ),
)
