"""The rows of the table, in order, each with its peer, measurement, reaches and budget of time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Bound(Enum):
    """What a reach is about."""

    TIMES = "times"
    """The peer's cost divided by Millmark's, at least."""
    SLOWER = "times slower"
    """Millmark's cost divided by the peer's, at most."""
    OWN = ""
    """Millmark's own figure, at most, in its unit."""
    LEAST = "at least"
    """Millmark's own figure, at least, in its unit."""
    SHOWN = "shown"
    """No reach."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One comparison. Costs, the less the better, but where the goal says otherwise."""

    own: float
    unit: str
    peer: float | None = None
    low: float | None = None
    """Least ratio, peer's cost to own, of a round."""
    high: float | None = None

    @property
    def times(self) -> float | None:
        """The peer's cost divided by Millmark's."""
        return None if self.peer is None or not self.own else self.peer / self.own


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table: a figure of the row, and what it should reach."""

    figure: str
    """Its name in `Measured.figures`."""
    what: str
    """With the peer, as the table shows it."""
    bound: Bound = Bound.SHOWN
    reach: float = 0.0

    def is_reached(self, figure: Figure) -> bool | None:
        """None if there is nothing to reach."""
        times = figure.times
        if self.bound is Bound.OWN:
            return figure.own <= self.reach
        if self.bound is Bound.LEAST:
            return figure.own >= self.reach
        if self.bound is Bound.SHOWN or times is None:
            return None
        return times >= self.reach if self.bound is Bound.TIMES else 1 / times <= self.reach


@dataclass(frozen=True, slots=True)
class Row:
    """A row: what is measured, beside what, and what it should reach."""

    name: str
    """What `scripts/bench NAME` takes."""
    title: str
    peer: str
    measure: str
    """MODULE:FUNCTION below tests.bench.table, which takes nothing and returns `Measured`."""
    goals: tuple[Goal, ...]
    budget_s: float = 240.0
    """A row that takes longer has failed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a row's measurement found."""

    figures: Mapping[str, Figure]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why a figure is missing, by its name."""
    notes: tuple[str, ...] = ()


ROWS = (
    Row(
        "anchor-gas",
        "gas of an anchored entry, 100,000 in a batch",
        "EAS: attest; multiTimestamp",
        "chain:measure_anchor_gas",
        (
            Goal("attest", "gas of an anchored entry; EAS attest", Bound.TIMES, 500_000),
            Goal("multiTimestamp", "the same; EAS multiTimestamp, 300 in a transaction", Bound.TIMES, 45_000),
        ),
    ),
    Row(
        "record-gas",
        "gas of a record, 50 in a transaction",
        "EAS multiAttest",
        "chain:measure_record_gas",
        (
            Goal("new", "dearest record that begins a history; EAS multiAttest", Bound.TIMES, 3.6),
            Goal("update", "dearest record about a subject that is there; EAS multiAttest", Bound.TIMES, 7.8),
            Goal("dearer", "kinds dearer than tests/vectors/gas.json", Bound.OWN, 0),
        ),
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
    ),
    Row(
        "claims",
        "claims root of a document of 50 fields",
        "plain json and hashlib, no disclosure",
        "hashing:measure_claims",
        (Goal("root", "salted root of 50 fields; plain json and hashlib", Bound.TIMES, 1),),
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
            Goal("ancestors subjects", "the same; SQLAlchemy query without objects"),
            Goal("ancestors first", "the same, never asked before; SQLAlchemy query without objects"),
            Goal("descendants orm", "descendants of 10,000; SQLAlchemy query", Bound.TIMES, 10),
            Goal("descendants postgresql", "the same; PostgreSQL recursive query, wall time"),
            Goal("descendants rustworkx", "the same; rustworkx in memory"),
            Goal("descendants subjects", "the same; SQLAlchemy query without objects"),
            Goal("descendants first", "the same, never asked before; SQLAlchemy query without objects"),
        ),
    ),
    Row(
        "demo",
        "the demonstration, `--fast`",
        "",
        "programs:measure_demo",
        (
            Goal("record", "CPU time a record, without imports", Bound.OWN, 15),
            Goal("whole", "CPU time of the whole run"),
            Goal("records", "records made"),
        ),
    ),
    Row(
        "capture",
        "capture over HTTP at a node, events in batches of 100",
        "FastAPI and pydantic, a request an event",
        "servers:measure_capture",
        (
            Goal("stored", "server's CPU an event; FastAPI, pydantic, a commit an event", Bound.TIMES, 25),
            Goal("memory", "the same; FastAPI, pydantic, kept in memory"),
            Goal("wall", "the same, stored, wall time"),
        ),
    ),
    Row(
        "epcis",
        "EPCIS capture at the gateway, events in batches of 100",
        "FastAPI and pydantic, a request an event",
        "servers:measure_epcis_capture",
        (
            Goal("stored", "server's CPU an EPCIS event; FastAPI, pydantic, a commit an event", Bound.TIMES, 10),
            Goal("memory", "the same; FastAPI, pydantic, kept in memory"),
            Goal("wall", "the same, stored, wall time"),
        ),
    ),
    Row(
        "inference",
        "exact inference, a batch of 1,024",
        "float32 in Torch",
        "models:measure_inference",
        (Goal("batch", "integers, a batch of 1,024, one thread; float32 in Torch", Bound.SLOWER, 1.5),),
    ),
    Row(
        "rocket",
        "rocket, windows of 500 values",
        "aeon's MiniRocket and ridge",
        "models:measure_rocket",
        (
            Goal("alone", "one window; aeon's MiniRocket and ridge", Bound.TIMES, 4),
            Goal("batch", "a window of a batch of 512; the same", Bound.TIMES, 3),
        ),
    ),
    Row(
        "bundle",
        "verifying the bundle of a part",
        "",
        "proving:measure_bundles",
        (
            Goal("1,100", "bundle of 1,100 records, CPU time", Bound.OWN, 60),
            Goal("1,100 salts", "of that, the names and the proofs of their salts"),
            Goal("1,100 records", "its records"),
            Goal("1,100 decode", "json.loads of the file alone"),
            Goal("5,000", "bundle of 5,000 records, CPU time", Bound.OWN, 270),
            Goal("5,000 salts", "of that, the names and the proofs of their salts"),
            Goal("5,000 records", "its records"),
            Goal("5,000 decode", "json.loads of the file alone"),
            Goal("seals", "seals of one block by seven validators, to be added where there are any"),
        ),
    ),
    Row(
        "start",
        "starting a program, CPU time",
        "",
        "programs:measure_starts",
        (
            Goal("help", "millmark --help", Bound.OWN, 0.5),
            Goal("trace", "millmark trace --help", Bound.OWN, 0.5),
            Goal("verify", "python -m millmark.verify --help", Bound.OWN, 0.2),
            Goal("traces", "millmark trace of a lot, in a store of 100"),
            Goal("verifies", "python -m millmark.verify of a part's bundle"),
            Goal("python", "python that does nothing"),
        ),
    ),
    Row(
        "memory",
        "memory at rest",
        "",
        "servers:measure_memory",
        (Goal("gateway", "gateway, resident", Bound.OWN, 90), Goal("node", "node, resident", Bound.OWN, 60)),
    ),
    Row(
        "growth",
        "growth of a store from 20,000 to 200,000 lots",
        "the smaller store",
        "chain:measure_growth",
        (
            Goal("trace", "a trace of at most 50 lots, 200,000 lots; the same, 20,000 lots", Bound.SLOWER, 1.1),
            Goal("index", "index a record into 200,000 lots; the same, 20,000 lots", Bound.SLOWER, 1.1),
        ),
    ),
    Row(
        "plan",
        "plans of 24 orders, 3 seeds, 10 CPU seconds a side",
        "CP-SAT alone",
        "proving:measure_plan",
        (
            Goal("cost", "cost, geometric mean; CP-SAT alone", Bound.OWN, 98),
            Goal("gap", "proved gap, median", Bound.OWN, 5),
            Goal("check", "checking a plan, CPU time", Bound.OWN, 20),
        ),
    ),
    Row(
        "network",
        "records of one key on five signers, 30 s a side",
        "equal batches, signed beforehand",
        "proving:measure_network_row",
        (
            Goal("share", "records a second; equal batches, signed beforehand", Bound.LEAST, 35),
            Goal("rate", "records a second"),
            Goal("behind", "index behind what is final, at most", Bound.OWN, 2),
            Goal("cpu", "CPU time of the submitting process a record"),
        ),
    ),
)
