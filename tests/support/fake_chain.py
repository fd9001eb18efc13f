"""A whole chain in memory: blocks, blooms, records of both contracts and their heads, computed with eth_abi and
eth_bloom, so that the index is compared with independent code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from eth_abi.abi import encode
from eth_bloom.bloom import BloomFilter
from eth_utils.crypto import keccak

from millmark.ledger.events import Event, Header, Recorded
from millmark.ledger.records import Contract
from tests.support.event_data import encode_event

HEAD_TAG = keccak(text="millmark.history.v1")
BLOCK_TIME_S = 5
START_S = 1_760_000_000


def digest(*parts: object) -> bytes:
    """32 bytes derived from any values."""
    return hashlib.sha256(repr(parts).encode()).digest()


def key_of(participant: int) -> bytes:
    return digest("key", participant)[:20]


@dataclass
class FakeChain:
    """Adds records to an open block, which `mine` closes."""

    chain_id: int = 1234
    registry: bytes = b"\x11" * 20
    ledger: bytes = b"\x22" * 20
    ledger_id: bytes = b"\x44" * 32
    genesis: str = "genesis"
    finality_depth: int = 0
    first_block: int = 0
    headers: list[Header] = field(default_factory=list)
    records: list[tuple[Recorded[Event], ...]] = field(default_factory=list)
    heads: dict[bytes, bytes] = field(default_factory=dict)
    sequences: dict[Contract, int] = field(default_factory=lambda: dict.fromkeys(Contract, 0))
    fetched: list[int] = field(default_factory=list)
    """Numbers of the blocks whose records were fetched."""
    _open: list[Recorded[Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.headers:
            self.mine()

    # What a follower asks

    def genesis_hash(self) -> bytes:
        return self.headers[0].hash

    def head_number(self) -> int:
        return len(self.headers) - 1

    def final_number(self) -> int:
        return max(len(self.headers) - 1 - self.finality_depth, -1)

    def header(self, number: int) -> Header:
        return self.headers[number]

    def headers_of(self, numbers: Sequence[int]) -> Iterator[Header]:
        return map(self.header, numbers)

    def recorded_in_each(self, headers: Sequence[Header]) -> Iterator[tuple[Recorded[Event], ...]]:
        return map(self.recorded, headers)

    def recorded(self, header: Header) -> tuple[Recorded[Event], ...]:
        self.fetched.append(header.number)
        assert self.headers[header.number].hash == header.hash, "asked for a block that is not there"
        return self.records[header.number]

    # What contracts and validators do

    @property
    def now(self) -> int:
        """Timestamp of the open block."""
        return START_S + BLOCK_TIME_S * len(self.headers)

    def record(
        self,
        event: Event,
        participant: int,
        subject: bytes,
        histories: tuple[bytes, ...] = (),
        *,
        key: bytes | None = None,
    ) -> int:
        """Adds a record to the open block and returns its sequence. `key`: the acting key, by default the
        participant's."""
        self.sequences[event.contract] += 1
        acting = key or key_of(participant)
        made = Recorded(
            event=event,
            sequence=self.sequences[event.contract],
            participant=participant,
            subject=subject,
            key=acting,
            histories=histories,
            data=encode_event(event, acting, histories),
            block_number=len(self.headers),
            block_hash=b"",
            block_time=self.now,
            transaction_hash=digest("transaction", event.contract, self.sequences[event.contract]),
            log_index=len(self._open),
        )
        self._open.append(made)
        self._extend(made)
        return made.sequence

    def _extend(self, made: Recorded[Event]) -> None:
        inner = keccak(
            encode(
                ["uint40", "uint32", "address", "bytes32", "uint256"],
                [made.sequence, made.participant, made.key, keccak(made.data), made.block_time],
            )
        )
        for subject in made.histories:
            start = encode(
                ["bytes32", "uint256", "address", "bytes32", "bytes32"],
                [HEAD_TAG, self.chain_id, self.ledger, self.ledger_id, subject],
            )
            head = self.heads.get(subject, keccak(start))
            self.heads[subject] = keccak(encode(["bytes32"] * 3, [head, made.topic, inner]))

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            number = len(self.headers)
            parent = self.headers[-1].hash if self.headers else bytes(32)
            own = digest(self.genesis, number, parent, [record.data for record in self._open])
            bloom = BloomFilter()
            for record in self._open:
                bloom.add(self.ledger if record.contract is Contract.LEDGER else self.registry)
            self.headers.append(Header(number, own, parent, self.now, int(bloom).to_bytes(256, "big"), bytes(32)))
            self.records.append(tuple(replace(record, block_hash=own) for record in self._open))
            self._open.clear()
