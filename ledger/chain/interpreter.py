"""A faster loop for py-evm's execution of opcodes.

py-evm spends several microseconds on every opcode, most of them on calls: into the gas meter, for each stack operation,
for the check of each value. Yet most opcodes of a compiled contract only move words between stack and memory. These are
decoded once per code into straight runs, whose gas and stack are checked once per run, and executed here. All others
(storage, calls, logs, hashes) are handed to py-evm, and so is every run that gas or stack do not suffice for: errors,
and the gas that they burn, are py-evm's.

Rejected: compiling the runs to Python functions, which takes longer than most chains of tests run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from operator import and_, or_, xor
from typing import Any, NamedTuple

from eth.db.account import AccountDB
from eth.db.storage import AccountStorageDB, StorageLookup
from eth.vm import opcode_values as op
from eth.vm.code_stream import CodeStream
from eth.vm.computation import memory_gas_cost
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from trie.constants import BLANK_NODE_HASH
from trie.hexary import HexaryTrie
from trie.utils.nodes import decode_node

from millmark.ledger.headers import MAX_HEADER_BYTES

_MAX = (1 << 256) - 1
_SIGN = 1 << 255
_STACK_LIMIT = 1024
_WORD = 32
_KEPT_PROGRAMS = 256


def _signed(value: int) -> int:
    return value - ((value & _SIGN) << 1)


_UNARY: dict[int, Callable[[int], int]] = {
    op.ISZERO: lambda a: 0 if a else 1,
    op.NOT: lambda a: _MAX - a,
}
_BINARY: dict[int, Callable[[int, int], int]] = {  # `a` is on top of the stack, `b` below it
    op.ADD: lambda a, b: (a + b) & _MAX,
    op.MUL: lambda a, b: (a * b) & _MAX,
    op.SUB: lambda a, b: (a - b) & _MAX,
    op.DIV: lambda a, b: a // b if b else 0,
    op.MOD: lambda a, b: a % b if b else 0,
    op.LT: lambda a, b: 1 if a < b else 0,
    op.GT: lambda a, b: 1 if a > b else 0,
    op.SLT: lambda a, b: 1 if _signed(a) < _signed(b) else 0,
    op.SGT: lambda a, b: 1 if _signed(a) > _signed(b) else 0,
    op.EQ: lambda a, b: 1 if a == b else 0,
    op.AND: and_,
    op.OR: or_,
    op.XOR: xor,
    op.BYTE: lambda a, b: (b >> (248 - 8 * a)) & 0xFF if a < _WORD else 0,
    op.SHL: lambda a, b: (b << a) & _MAX if a < 256 else 0,
    op.SHR: lambda a, b: b >> a if a < 256 else 0,
}

# What a step does, in the order of how often contracts do it: the loop asks in this order.
_PUSH, _DUP, _SWAP, _BINARY_OP, _POP, _STORE, _UNARY_OP, _LOAD, _CALL_DATA, _NOTHING = range(10)


class _Run(NamedTuple):
    """Opcodes that follow each other and cannot fail once gas and stack suffice."""

    steps: tuple[tuple[int, Any], ...]
    """What each does, with its operand: a word, an index into the stack, a function. For access to memory, which may
    have to grow first: the opcode's position, and the gas of the run from this opcode on."""
    gas: int
    lowest: int
    """Items that the stack must have at least before the run."""
    highest: int
    """Items that the stack may have at most before the run."""
    end: int
    """Position of the opcode that follows the run."""
    jump: int
    """The opcode that follows, if it is JUMP or JUMPI, whose gas and operands count as the run's; otherwise 0."""


class _Program:
    """A code with the runs that have been executed, by the positions where they begin."""

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.runs: dict[int, _Run] = {}
        self.destinations = {found.start() for found in _DESTINATION_OR_OTHERS.finditer(code) if found.lastindex}

    def decode(self, start: int) -> _Run:
        found = self.runs[start] = _decode(self.code, start)
        return found


_PUSHES = (re.escape(bytes([op.PUSH0 + size])) + b".{0,%d}" % size for size in range(1, _WORD + 1))
_DESTINATION_OR_OTHERS = re.compile(b"(\\[)|[^\\[\x60-\x7f]+|" + b"|".join(_PUSHES), re.DOTALL)
"""A JUMPDEST, which is "[" as text, as the only group; or what may hold its byte as a word to push."""

_program = lru_cache(_KEPT_PROGRAMS)(_Program)


def _opcodes(code: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Positions and opcodes from `start` on, without the operands of PUSH; after the last one STOP, as in py-evm."""
    at = start
    while at < len(code):
        yield at, code[at]
        at += 1 + _operand_size(code[at])
    yield at, op.STOP


def _operand_size(opcode: int) -> int:
    return opcode - op.PUSH0 if op.PUSH1 <= opcode <= op.PUSH32 else 0


def _gas_of(opcode: int) -> int:
    found: Any = PragueComputation.opcodes[opcode]
    return int(found.gas_cost)


def _growth(size: int, at: int) -> int:
    """Gas for memory of `size` bytes to hold a word at `at`."""
    return int(memory_gas_cost(at + _WORD) - memory_gas_cost(size))


def _decode(code: bytes, start: int) -> _Run:
    found: list[tuple[int, int, int, Any]] = []
    height = lowest = peak = 0
    end = jump = 0
    for at, opcode in _opcodes(code, start):
        end = at
        if opcode in (op.JUMP, op.JUMPI):
            jump, lowest = opcode, max(lowest, (1 if opcode == op.JUMP else 2) - height)
            break
        step = _step(code, at, opcode)
        if step is None:
            break
        what, operand, taken, left = step
        lowest = max(lowest, taken - height)
        height += left - taken
        peak = max(peak, height)
        found.append((at, opcode, what, operand))
    gas = _gas_of(jump) if jump else 0
    steps: list[tuple[int, Any]] = []
    for at, opcode, what, operand in reversed(found):
        gas += _gas_of(opcode)
        if what != _NOTHING:
            steps.append((what, (at, gas) if what in (_STORE, _LOAD) else operand))
    return _Run(tuple(reversed(steps)), gas, lowest, _STACK_LIMIT - peak, end, jump)


def _step(code: bytes, at: int, opcode: int) -> tuple[int, Any, int, int] | None:
    """What an opcode does, its operand, and how many items it takes and leaves; None for those that py-evm executes."""
    if op.PUSH0 <= opcode <= op.PUSH32:
        size = opcode - op.PUSH0
        return _PUSH, int.from_bytes(code[at + 1 : at + 1 + size].ljust(size, b"\0")), 0, 1
    if op.DUP1 <= opcode <= op.DUP16:
        depth = opcode - op.DUP1 + 1
        return _DUP, -depth, depth, depth + 1
    if op.SWAP1 <= opcode <= op.SWAP16:
        depth = opcode - op.SWAP1 + 2
        return _SWAP, -depth, depth, depth
    if opcode in _BINARY:
        return _BINARY_OP, _BINARY[opcode], 2, 1
    if opcode in _UNARY:
        return _UNARY_OP, _UNARY[opcode], 1, 1
    return _OTHERS.get(opcode)


_OTHERS = {
    op.POP: (_POP, None, 1, 0),
    op.MSTORE: (_STORE, None, 2, 0),
    op.MLOAD: (_LOAD, None, 1, 1),
    op.CALLDATALOAD: (_CALL_DATA, None, 1, 1),
    op.JUMPDEST: (_NOTHING, None, 0, 0),
}


def _execute(
    steps: tuple[tuple[int, Any], ...], gas: int, stack: list[Any], memory: bytearray, data: bytes
) -> tuple[int, tuple[int, int] | None]:
    """Execute a run. Return the gas left, and, where it does not suffice for memory to grow, that step's operand."""
    push, pop = stack.append, stack.pop
    for what, operand in steps:
        if what == _PUSH:
            push(operand)
        elif what == _DUP:
            push(stack[operand])
        elif what == _SWAP:
            stack[-1], stack[operand] = stack[operand], stack[-1]
        elif what == _BINARY_OP:
            top = pop()
            stack[-1] = operand(top, stack[-1])
        elif what == _POP:
            pop()
        elif what == _UNARY_OP:
            stack[-1] = operand(stack[-1])
        elif what == _CALL_DATA:
            stack[-1] = int.from_bytes(data[stack[-1] : stack[-1] + _WORD].ljust(_WORD, b"\0"))
        else:
            at = stack[-1]
            if at + _WORD > len(memory):
                growth = _growth(len(memory), at)
                if growth > gas:
                    return gas, operand
                gas -= growth
                memory.extend(bytes(-(-(at + _WORD) // _WORD) * _WORD - len(memory)))
            if what == _STORE:
                memory[at : at + _WORD] = stack[-2].to_bytes(_WORD)
                del stack[-2:]
            else:
                stack[-1] = int.from_bytes(memory[at : at + _WORD])
    return gas, None


class _Code(CodeStream):
    """Code that executes its runs itself and yields to py-evm's loop only the opcodes between them."""

    __slots__ = ("_data", "_memory", "_meter", "_stack")

    def __init__(self, code: bytes, data: bytes, stack: Any, memory: Any, meter: Any) -> None:
        super().__init__(code)
        self._data, self._stack, self._memory, self._meter = data, stack, memory, meter

    def __iter__(self) -> Iterator[int]:
        """Yield each opcode that py-evm must execute next, with gas and position as it expects them."""
        program = _program(self._raw_code_bytes)
        code, runs, destinations = program.code, program.runs, program.destinations
        stack: list[Any] = self._stack.values  # words; bytes only where one of py-evm's opcodes has just pushed them
        memory, data = self._memory._bytes, self._data
        position, gas = self.program_counter, self._meter.gas_remaining
        while True:
            run = runs.get(position) or program.decode(position)
            steps, cost, lowest, highest, end, jump = run
            if gas < cost or not lowest <= len(stack) <= highest:
                self._meter.gas_remaining, self.program_counter = gas, position
                yield from super().__iter__()
            gas, stopped = _execute(steps, gas - cost, stack, memory, data)
            if stopped is not None:
                end, rest = stopped
                gas, jump = gas + rest, 0
            if jump == op.JUMPI and not stack[-2]:
                del stack[-2:]
                position = end + 1
                continue
            if jump and stack[-1] in destinations:
                position = stack.pop()
                if jump == op.JUMPI:
                    stack.pop()
                continue
            self._meter.gas_remaining = gas + (_gas_of(jump) if jump else 0)
            self.program_counter = end + 1
            yield code[end] if end < len(code) else op.STOP
            position, gas, memory = self.program_counter, self._meter.gas_remaining, self._memory._bytes
            if stack and isinstance(stack[-1], bytes):
                stack[-1] = int.from_bytes(stack[-1])


class FastComputation(PragueComputation):
    """py-evm's execution of a message, with `_Code` in place of its code."""

    def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        self.code = _Code(message.code, message.data_as_bytes, self._stack, self._memory, self._gas_meter)


# The embedded chain's virtual machine: py-evm's, with the parts replaced that it spends most of its time in.
#
# py-evm is written to be read beside Ethereum's specification, not to be fast: of the demonstration's 27 s of processor
# time its execution took 15; with these parts it takes 4 (tests/integration/test_interpreter.py compares both).
# It offers classes to replace, so nothing of it is patched; the private members used here are those of the locked
# version.

_HASH_SIZE = 32
_KEPT_NODES = 1 << 13

_decode_node = lru_cache(_KEPT_NODES)(decode_node)
"""Nodes are read again for every call and every transaction, and most of the time for it went into decoding them."""


class _ReadTrie(HexaryTrie):
    """A trie that is only read: writing would change the nodes, which all tries share."""

    def get_node(self, node_hash: Any) -> Any:
        if len(node_hash) == _HASH_SIZE and node_hash != BLANK_NODE_HASH:
            return _decode_node(self.db[node_hash])
        return super().get_node(node_hash)  # type: ignore[no-untyped-call]  # py-trie types it in part


class _Lookup(StorageLookup):
    def _get_read_trie(self) -> HexaryTrie:
        if self.has_changed_root:
            return super()._get_read_trie()
        return _ReadTrie(self._db, root_hash=self._starting_root_hash)


class _Storage(AccountStorageDB):
    def __init__(self, db: Any, storage_root: Any, address: Any) -> None:
        super().__init__(db, storage_root, address)
        self._storage_lookup = self._storage_cache._db = _Lookup(db, storage_root, address)


class _Accounts(AccountDB):
    def _get_address_store(self, address: Any) -> Any:
        if address not in self._account_stores:
            root = self._get_storage_root(address)
            self._account_stores[address] = _Storage(self._raw_store_db, root, address)
        return self._account_stores[address]


class _State(PragueState):
    computation_class = FastComputation
    account_db_class = _Accounts


class FastVM(PragueVM):
    """The rules of the Prague fork: the same results, gas, logs and errors as with py-evm's own parts."""

    _state_class = _State


class SealedVM(FastVM):
    """The same rules, but for blocks whose `extraData` lists validators."""

    extra_data_max_bytes = MAX_HEADER_BYTES
