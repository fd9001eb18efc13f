"""Reverts, results and logs: decoded as eth_abi does it independently, and never a traceback."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.chain import decode_log, decode_revert, load_abi
from millmark.ledger.chain.blocks import RawLog
from millmark.ledger.chain.codec import decode_result
from millmark.ledger.errors import ChainUnreachableError, IndexHaltedError, Retry
from millmark.ledger.records import Contract
from tests.support.event_data import plain, written

VALUES: dict[str, tuple[Any, Any]] = {
    "address": ("0x" + "ab" * 20, "0x" + "ab" * 20),
    "bytes32": (b"\x07" * 32, b"\x07" * 32),
    "bytes3": (b"H87", b"H87"),
    "bytes": (b"\x01\x02", b"\x01\x02"),
    "string": ("why", "why"),
    "bool": (True, True),
}
LAST = {"enum ILots.TransformationKind": 2, "enum ICertificates.Verdict": 2}
ERRORS = {entry["name"]: entry for contract in Contract for entry in load_abi(contract) if entry["type"] == "error"}
EVENTS = [
    (contract, entry)
    for contract in Contract
    for entry in load_abi(contract)
    if entry["type"] == "event" and entry["inputs"][0]["name"] == "sequence"
]
REASON = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")


def revert_of(entry: dict[str, Any]) -> bytes:
    types = [parameter["type"] for parameter in entry["inputs"]]
    selector = keccak(text=f"{entry['name']}({','.join(types)})")[:4]
    return selector + encode(types, [VALUES.get(kind, (3, 3))[0] for kind in types])


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_every_custom_error_is_named_with_its_values(name: str) -> None:
    entry = ERRORS[name]
    error = decode_revert(revert_of(entry))
    assert error.name == name
    assert list(error.values) == [parameter["name"] for parameter in entry["inputs"]]
    assert list(error.values.values()) == [VALUES.get(part["type"], (3, 3))[1] for part in entry["inputs"]]
    assert str(error).startswith(f"{name}(")
    assert "\n" not in str(error)
    assert error.retry is Retry.REFRESHED


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_a_cut_custom_error_is_shown_as_it_is(name: str) -> None:
    whole = revert_of(ERRORS[name])
    for length in range(0, len(whole), 7):
        error = decode_revert(whole[:length])
        assert error.name == "Reverted"
        assert error.values == ({"data": whole[:length]} if length else {})


def test_a_reason_is_shown() -> None:
    error = decode_revert(REASON + encode(["string"], ["not today"]))
    assert (error.name, error.values) == ("Error", {"reason": "not today"})


def test_a_panic_is_shown() -> None:
    error = decode_revert(PANIC + encode(["uint256"], [0x11]))
    assert (error.name, error.values) == ("Panic", {"code": 0x11})


@pytest.mark.parametrize(
    "data",
    [
        REASON,
        REASON + b"\xff" * 31,
        REASON + b"\xff" * 64,
        REASON + encode(["bytes"], [b"\xff\xfe"]),  # no UTF-8
        PANIC,
        PANIC + b"\x11",
        b"\x01",
        b"\xde\xad\xbe\xef",
    ],
    ids=lambda data: data.hex()[:20],
)
def test_what_only_begins_like_a_revert_is_shown_as_it_is(data: bytes) -> None:
    assert decode_revert(data).values == {"data": data}


def test_nothing_is_said_of_an_empty_revert() -> None:
    assert str(decode_revert(b"")) == "Reverted()"


@given(st.sampled_from([REASON, PANIC, b"", *(revert_of(entry)[:4] for entry in ERRORS.values())]), st.binary())
def test_no_revert_data_breaks_the_decoder(selector: bytes, rest: bytes) -> None:
    assert decode_revert(selector + rest).name


# Logs


def value_of(parameter: dict[str, Any]) -> Any:
    kind = str(parameter["type"])
    if kind.endswith("[]"):
        return [value_of({**parameter, "type": kind[:-2]})] * 2
    if kind == "tuple":
        return tuple(value_of(part) for part in parameter["components"])
    return LAST.get(str(parameter["internalType"])) or VALUES.get(kind, (3, 3))[0]


def read(parameter: dict[str, Any]) -> Any:
    """What the codec makes of such a value."""
    value = value_of(parameter)
    if isinstance(value, list):
        return tuple(read({**parameter, "type": str(parameter["type"])[:-2]}) for _ in value)
    if isinstance(value, tuple):
        return tuple(read(part) for part in parameter["components"])
    return bytes.fromhex(value[2:]) if parameter["type"] == "address" else value


def log_of(entry: dict[str, Any]) -> RawLog:
    data = [parameter for parameter in entry["inputs"] if not parameter["indexed"]]
    signature = f"{entry['name']}({','.join(written(parameter) for parameter in entry['inputs'])})"
    topics = (keccak(text=signature), (7).to_bytes(32, "big"), (2).to_bytes(32, "big"), b"\x09" * 32)
    encoded = encode([written(part) for part in data], [value_of(part) for part in data])
    return RawLog(b"\x11" * 20, topics, encoded, 5, b"\x05" * 32, b"\x06" * 32, 3)


def changed(log: RawLog, *, topics: tuple[bytes, ...] | None = None, data: bytes | None = None) -> RawLog:
    return RawLog(
        log.address,
        log.topics if topics is None else topics,
        log.data if data is None else data,
        log.block_number,
        log.block_hash,
        log.transaction_hash,
        log.log_index,
    )


def event_id(case: object) -> str:
    return case["name"] if isinstance(case, dict) else ""


@pytest.mark.parametrize(("contract", "entry"), EVENTS, ids=event_id)
def test_every_event_is_decoded(contract: Contract, entry: dict[str, Any]) -> None:
    log = log_of(entry)
    found = decode_log(contract, log, 1_700_000_000)
    assert found is not None
    assert (found.contract, found.kind, found.topic) == (contract, entry["name"], log.topics[0])
    assert (found.sequence, found.participant, found.subject) == (7, 2, b"\x09" * 32)
    assert found.key == bytes.fromhex("ab" * 20)
    assert found.histories == ((b"\x07" * 32,) * 2 if contract is Contract.LEDGER else ())
    own = [part for part in entry["inputs"] if not part["indexed"] and part["name"] not in ("key", "histories")]
    assert plain(found.event) == tuple(read(part) for part in own)
    assert (found.data, found.block_time, found.log_index) == (log.data, 1_700_000_000, 3)


@pytest.mark.parametrize(("contract", "entry"), EVENTS, ids=event_id)
def test_a_cut_log_halts(contract: Contract, entry: dict[str, Any]) -> None:
    log = log_of(entry)
    for length in range(0, len(log.data), 32):
        with pytest.raises(IndexHaltedError, match=f"log 3 of block 5 does not decode as {entry['name']}"):
            decode_log(contract, changed(log, data=log.data[:length]), 0)
        with pytest.raises(IndexHaltedError):
            decode_log(contract, changed(log, data=log.data[: length + 5]), 0)


@pytest.mark.parametrize(("contract", "entry"), EVENTS[::5], ids=event_id)
@given(data=st.binary(max_size=300))
def test_no_log_data_breaks_the_decoder(contract: Contract, entry: dict[str, Any], data: bytes) -> None:
    with contextlib.suppress(IndexHaltedError):
        decode_log(contract, changed(log_of(entry), data=data), 0)


@pytest.mark.parametrize("word", [0, 1, 32, 2**31, 2**64, 2**255, 2**256 - 1])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_no_length_or_offset_in_a_log_breaks_the_decoder(place: int, word: int) -> None:
    """Each of the first words replaced: a huge array, an offset into itself, an address that is none."""
    for contract, entry in EVENTS:
        log = log_of(entry)
        data = log.data[: 32 * place] + word.to_bytes(32, "big") + log.data[32 * place + 32 :]
        with contextlib.suppress(IndexHaltedError):
            decode_log(contract, changed(log, data=data), 0)


@pytest.mark.parametrize("name", ["CertificateIssued", "CertificateRefuted", "LotsTransformed"])
def test_a_number_that_an_enumeration_does_not_name_halts(name: str) -> None:
    contract, entry = next(case for case in EVENTS if case[1]["name"] == name)
    log = log_of(entry)
    places = [at for at in range(0, len(log.data), 32) if log.data[at : at + 32] == (2).to_bytes(32, "big")]
    halted = 0
    for at in places:
        data = log.data[:at] + (3).to_bytes(32, "big") + log.data[at + 32 :]
        try:
            decode_log(contract, changed(log, data=data), 0)
        except IndexHaltedError:
            halted += 1
    assert halted >= 1


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_log_with_other_topics_halts(count: int) -> None:
    contract, entry = EVENTS[0]
    log = log_of(entry)
    with pytest.raises(IndexHaltedError, match="not a record that this version knows"):
        decode_log(contract, changed(log, topics=log.topics[:count]), 0)


@pytest.mark.parametrize("contract", Contract)
def test_an_unknown_event_halts(contract: Contract) -> None:
    log = changed(log_of(EVENTS[0][1]), topics=(keccak(text="Later(uint40)"), *[bytes(32)] * 3))
    with pytest.raises(IndexHaltedError, match="use the Millmark version that deployed the contracts"):
        decode_log(contract, log, 0)


def test_an_event_of_the_other_contract_halts() -> None:
    contract, entry = EVENTS[0]
    other = Contract.LEDGER if contract is Contract.REGISTRY else Contract.REGISTRY
    with pytest.raises(IndexHaltedError):
        decode_log(other, log_of(entry), 0)


def test_a_change_of_the_owner_is_no_record() -> None:
    topic = keccak(text="OwnershipTransferred(address,address)")
    log = changed(log_of(EVENTS[0][1]), topics=(topic, bytes(32), bytes(32)), data=b"")
    assert decode_log(Contract.REGISTRY, log, 0) is None
    with pytest.raises(IndexHaltedError):
        decode_log(Contract.LEDGER, log, 0)


# Results


def test_results_are_decoded() -> None:
    assert decode_result(Contract.LEDGER, "sequence", encode(["uint40"], [12])) == (12,)
    assert decode_result(Contract.LEDGER, "registry", encode(["address"], ["0x" + "ab" * 20])) == (b"\xab" * 20,)


@pytest.mark.parametrize("data", [b"", b"\x01", bytes(31), b"\xff" * 32])
def test_a_result_that_does_not_decode_is_no_answer(data: bytes) -> None:
    with pytest.raises(ChainUnreachableError, match="the node's answer to sequence cannot be used"):
        decode_result(Contract.LEDGER, "sequence", data)
