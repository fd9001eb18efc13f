"""The embedded chain's own loop computes what py-evm's does: state, gas, logs, returned data and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.vm import opcode_values as op
from eth.vm.message import Message
from eth_typing import Address
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.chain import EmbeddedChain

CALLED, OTHER, SENDER, CREATED = (Address(bytes([first]) * 20) for first in (0xCA, 0xCB, 0x5E, 0xCC))
IDENTITY = 4
"""The precompiled contract that returns its input."""
ENOUGH_GAS = 40_000
"""For calls a hundred deep at most, which stay under Python's own limit of recursion."""
WORDS = st.one_of(
    st.integers(0, 70),
    st.sampled_from([0, 1, 31, 32, 255, 256, 2**32, 2**64, 2**255 - 1, 2**255, 2**256 - 2, 2**256 - 1]),
    st.sampled_from([int.from_bytes(CALLED), int.from_bytes(OTHER), 2, 4]),
    st.integers(0, 2**256 - 1),
)
COMMON = bytes(
    {
        *range(op.STOP, op.SAR + 1), *range(op.DUP1, op.LOG4 + 1), op.SHA3, op.CALLDATALOAD, op.CALLDATASIZE,
        op.CALLDATACOPY, op.RETURNDATACOPY, op.RETURNDATASIZE, op.POP, op.MLOAD, op.MSTORE, op.MSTORE8, op.SLOAD,
        op.SSTORE, op.JUMP, op.JUMPI, op.PC, op.MSIZE, op.GAS, op.JUMPDEST, op.TLOAD, op.TSTORE, op.MCOPY, op.PUSH0,
        op.CALL, op.DELEGATECALL, op.STATICCALL, op.CREATE2, op.RETURN, op.REVERT,
    }
)  # fmt: skip


def push(word: int) -> bytes:
    size = max(1, (word.bit_length() + 7) // 8)
    return bytes([op.PUSH1 + size - 1]) + word.to_bytes(size)


def jump(opcode: int) -> st.SearchStrategy[bytes]:
    """To any place in a short program, of which many are no destinations."""
    return st.integers(0, 80).map(lambda to: push(to) + bytes([opcode]))


def call(opcode: int, operands: int) -> st.SearchStrategy[bytes]:
    """A call whose input and output lie in the first bytes of memory."""
    small, who = st.integers(0, 40), st.sampled_from([CALLED, OTHER, bytes(19) + b"\x02", bytes(19) + b"\x04"])
    rest = st.lists(small, min_size=operands - 2, max_size=operands - 2)
    gas = st.sampled_from([0, 700, 5_000, ENOUGH_GAS])
    build: Callable[[list[int], bytes, int], bytes] = lambda rest, to, gas: (  # noqa: E731
        b"".join(map(push, rest)) + push(int.from_bytes(to)) + push(gas) + bytes([opcode])
    )
    return st.builds(build, rest, who, gas)


PIECES = st.one_of(
    WORDS.map(push),
    st.sampled_from(COMMON).map(lambda opcode: bytes([opcode])),
    st.just(bytes([op.JUMPDEST])),
    st.tuples(WORDS, WORDS, st.sampled_from(COMMON)).map(lambda it: push(it[0]) + push(it[1]) + bytes([it[2]])),
    st.tuples(st.integers(0, 300), st.sampled_from([op.MLOAD, op.MSTORE, op.MSTORE8])).map(
        lambda it: push(it[0]) + bytes([it[1]])
    ),
    jump(op.JUMP),
    jump(op.JUMPI),
    call(op.CALL, 7),
    call(op.DELEGATECALL, 6),
    call(op.STATICCALL, 6),
    st.binary(max_size=4),
)
PROGRAMS = st.lists(PIECES, max_size=40).map(b"".join)


@pytest.fixture(scope="module")
def chains() -> list[Any]:
    """py-evm's chains with the same first block, one with each virtual machine."""
    return [EmbeddedChain(1_700_000_000, plain=plain)._chain for plain in (False, True)]


def execute(chain: Any, codes: tuple[bytes, bytes], data: bytes, gas: int, *, create: bool = False) -> list[Any]:
    """All that a message does: everything that an observer can tell."""
    state = chain.get_vm().state
    for address, code in zip((CALLED, OTHER), codes, strict=True):
        state.set_code(address, code)
        state.set_balance(address, 100)
        state.set_storage(address, 1, 7)
    state.set_balance(SENDER, 10**18)
    state.lock_changes()
    context = state.get_transaction_context_class()(gas_price=3, origin=SENDER)
    if create:
        message = Message(gas, CREATE_CONTRACT_ADDRESS, SENDER, 5, b"", codes[0], create_address=CREATED)
    else:
        message = Message(gas, CALLED, SENDER, 5, data, codes[0])
    apply = state.computation_class.apply_create_message if create else state.computation_class.apply_message
    return [*observe(apply(state, message, context)), state.make_state_root()]


def observe(done: Any) -> list[Any]:
    error = (type(done._error), str(done._error)) if done.is_error else None
    gas = done.get_gas_used(), done.get_gas_remaining(), done.get_gas_refund()
    children = [observe(child) for child in done.children]
    return [error, done.output, done.return_data, gas, done.get_log_entries(), done.accounts_to_delete, *children]


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode present:DeprecationWarning")  # of py-evm, when it is executed
@settings(max_examples=150)
@given(st.tuples(PROGRAMS, PROGRAMS), st.binary(max_size=70), st.integers(0, ENOUGH_GAS), st.booleans())
def test_any_program_does_the_same(
    chains: list[Any], codes: tuple[bytes, bytes], data: bytes, gas: int, create: bool
) -> None:
    for limit in (gas, ENOUGH_GAS):
        ours, plain = (execute(chain, codes, data, limit, create=create) for chain in chains)
        assert ours == plain


EDGES = (0, 1, 2, 7, 31, 32, 255, 256, 257, 2**64, 2**255 - 1, 2**255, 2**256 - 2, 2**256 - 1)
OPERATIONS = [*range(op.ADD, op.SIGNEXTEND + 1), *range(op.LT, op.SAR + 1), op.CALLDATALOAD]


@pytest.mark.parametrize("opcode", OPERATIONS)
def test_every_operation_computes_the_same_on_extreme_words(chains: list[Any], opcode: int) -> None:
    pairs = [(a, b) for a in EDGES for b in EDGES]
    body = b"".join(
        push(5) + push(b) + push(a) + bytes([opcode]) + push(32 * at) + bytes([op.MSTORE])
        for at, (a, b) in enumerate(pairs)
    )
    program = body + push(32 * len(pairs)) + push(0) + bytes([op.RETURN])
    ours, plain = (execute(chain, (program, b""), bytes(range(40)), 1_000_000) for chain in chains)
    assert ours == plain
    assert ours[0] is None
    assert any(ours[1])


def test_every_limit_of_gas_ends_the_same(chains: list[Any]) -> None:
    """Wherever gas runs out: within a run, on a jump, while memory grows, in a call."""
    program = push(3) + bytes([op.JUMPDEST, op.DUP1, op.PUSH1, 20, op.MUL, op.DUP1, op.MSTORE])
    program += push(1) + bytes([op.SWAP1, op.SUB, op.DUP1]) + push(2) + bytes([op.JUMPI])
    program += b"".join(map(push, (32, 0, 4, 0, IDENTITY, 30))) + bytes([op.STATICCALL, op.GAS, op.PUSH1, 10])
    program += bytes([op.MSTORE8]) + push(42) + push(0) + bytes([op.RETURN])
    [error, _, _, (used, *_), *_] = execute(chains[0], (program, b""), b"", ENOUGH_GAS)
    assert error is None
    for limit in range(used + 2):
        ours, plain = (execute(chain, (program, b""), b"", limit) for chain in chains)
        assert ours == plain
        assert (ours[0] is None) == (limit >= used)


@pytest.mark.parametrize("height", [0, 1, 15, 16, 17, 1022, 1023, 1024])
@pytest.mark.parametrize("opcode", [op.DUP16, op.SWAP16, op.ADD, op.PUSH0, op.POP, op.JUMPI, op.CALLDATASIZE])
def test_a_stack_too_low_or_too_high_fails_the_same(chains: list[Any], height: int, opcode: int) -> None:
    program = bytes([op.PUSH0]) * height + bytes([opcode])
    ours, plain = (execute(chain, (program, b""), b"", ENOUGH_GAS) for chain in chains)
    assert ours == plain


@pytest.mark.parametrize("to", range(12))
def test_jumps_reach_the_same_destinations(chains: list[Any], to: int) -> None:
    """Also into the operands of PUSH, where a byte only looks like a destination, and past the end."""
    start = bytes([op.PUSH1, to, op.JUMP, op.PUSH2, op.JUMPDEST, op.JUMPDEST, op.JUMPDEST, op.PC, op.PUSH4])
    program, ends = start + bytes([op.JUMPDEST]), []
    for limit in (10, 11, 12, 18, 19, ENOUGH_GAS):
        ours, plain = (execute(chain, (program, b""), b"", limit) for chain in chains)
        assert ours == plain
        ends.append(ours[0])
    assert (ends[-1] is None) == (to == 6)


@pytest.mark.parametrize(
    "opcode", [op.ADDRESS, op.CALLER, op.ORIGIN, op.COINBASE, op.PREVRANDAO, op.SHA3, op.BLOCKHASH]
)
def test_what_py_evm_pushes_as_bytes_is_a_word(chains: list[Any], opcode: int) -> None:
    program = push(0) + push(0) + bytes([opcode]) + push(1) + bytes([op.ADD]) + push(0) + bytes([op.MSTORE])
    program += push(32) + push(0) + bytes([op.RETURN])
    ours, plain = (execute(chain, (program, b""), b"", ENOUGH_GAS) for chain in chains)
    assert ours == plain
    assert any(ours[1])
