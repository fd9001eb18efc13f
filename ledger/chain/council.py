"""The council that owns a registry: its state, its motions, and the transactions by which members vote.

Votes are not records: they enter neither the index nor the outbox. What a motion does to the registry is a record.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import codec
from millmark.ledger.chain.chain import Chain
from millmark.ledger.chain.deploying import create
from millmark.ledger.chain.sending import send_call
from millmark.ledger.errors import InputError, NotFoundError, WrongContractError
from millmark.ledger.phrases import Phrase
from millmark.ledger.records import Contract, Value
from millmark.ledger.signatures import Signer

# Why a council's motion is not what it should be: each ground is declared once.


class CouncilGround(Phrase):
    """A ground. Its value is the error's cause."""

    NOT_ITS_CALL = "a council has nothing to do with {call}"
    OTHER_ARGUMENTS = "{call:s} takes other arguments"
    NOT_OF_TYPE = "{word} is not of the type {type:s}"
    NO_COUNCIL = "no council owns the registry"


_NAME = "Council"
_NOBODY = bytes(20)
CALLS: dict[str, Contract | str] = {
    **dict.fromkeys(
        ("admit", "setRoles", "suspend", "entrust", "reinstate", "publish", "close", "withdrawModel"), Contract.REGISTRY
    ),
    **dict.fromkeys(("proposeRecovery", "overruleObjection"), Contract.REGISTRY),
    **dict.fromkeys(("transferOwnership", "acceptOwnership"), Contract.REGISTRY),
    "note": Contract.LEDGER,
    "setMembers": _NAME,
}
"""What an owner calls, and where."""


class MotionState(enum.StrEnum):
    OPEN = "open"
    """Not enough members approve it yet."""
    WAITING = "waiting"
    """Approved: the delay runs."""
    DUE = "due"
    """It can be executed."""
    EXECUTED = "executed"
    OVER = "over"
    """It lapsed, or ended with the list of members for which it was made."""


@dataclass(frozen=True, slots=True)
class Motion:
    number: int
    target: bytes
    data: bytes
    state: MotionState
    approvals: tuple[int, ...]
    """Members that approve it now."""
    needed: int
    executable_at: int
    """In seconds since 1970; 0 while not enough members approve."""
    lapses_at: int
    """In seconds since 1970: until then it can be approved, or executed."""


@dataclass(frozen=True, slots=True)
class CouncilTerms:
    """What all motions of a council have in common, at one block."""

    members: tuple[int, ...]
    quorum: int
    delay_s: int
    lapse_s: int
    term: int
    """Counts the lists of members."""
    now_s: int
    """Time of the latest block, in seconds since 1970."""

    @property
    def supermajority(self) -> int:
        """How many must approve what overrules an objection to a recovery, or makes several calls at once."""
        return max(self.quorum, (2 * len(self.members) + 2) // 3)


class Council:
    """A council, after its code and its registry were compared. `chain` is the one that it governs."""

    def __init__(self, chain: Chain, address: bytes) -> None:
        self.chain, self.address = chain, address
        codec.verify_code(_NAME, chain.node.code(address), address)
        if self._read("registry") != chain.registry:
            raise WrongContractError(
                f"the council at {to_hex(address)} is of another registry", hint="give the address of this registry's"
            )

    @property
    def members(self) -> tuple[int, ...]:
        return cast("tuple[int, ...]", self._read("members"))

    @property
    def quorum(self) -> int:
        return cast(int, self._read("quorum"))

    @property
    def delay_s(self) -> int:
        return cast(int, self._read("delay"))

    def terms(self) -> CouncilTerms:
        lapse_s, term = cast(int, self._read("LAPSE")), cast(int, self._read("term"))
        now_s = self.chain.node.header().timestamp
        return CouncilTerms(self.members, self.quorum, self.delay_s, lapse_s, term, now_s)

    def motions(self, terms: CouncilTerms | None = None) -> Iterator[Motion]:
        """All motions, the latest first. `terms`, if they were read already, are not read again."""
        known, needed = terms or self.terms(), dict[bytes, int]()
        return (self._motion(number, known, needed) for number in range(cast(int, self._read("motions")), 0, -1))

    def motion(self, number: int) -> Motion:
        """Raises NotFoundError if there is none with that number."""
        return self._motion(number, self.terms(), {})

    def _motion(self, number: int, terms: CouncilTerms, needed: dict[bytes, int]) -> Motion:
        """`needed`: how many must approve a call, by selector, as far as it was read."""
        found = cast("dict[str, Any]", self._read("motionOf", number))
        if found["target"] == _NOBODY:
            raise NotFoundError(f"there is no motion {number}", hint="see `millmark council status`")
        approved_at, data = found["approved_at"], found["data"]
        executable_at = approved_at + terms.delay_s if approved_at else 0
        lapses_at = (executable_at or found["proposed_at"]) + terms.lapse_s
        selector = data[:4]  # all that the contract looks at
        if selector not in needed:
            needed[selector] = cast(int, self._read("neededFor", data))
        return Motion(
            number,
            found["target"],
            data,
            _state(found, executable_at, lapses_at, terms.now_s, terms.term),
            self._approvals(number, terms.members, found["approvals"]),
            needed[selector],
            executable_at,
            lapses_at,
        )

    def _approvals(self, number: int, members: Sequence[int], count: int) -> tuple[int, ...]:
        """Which of the members approve a motion, of which `count` participants do, members or not."""
        found: list[int] = []
        for one in members:
            if len(found) == count:  # each look is a call to the node
                break
            if self._read("hasApproved", number, one):
                found.append(one)
        return tuple(found)

    def propose(self, signer: Signer, target: bytes, data: bytes, reason_root: bytes = bytes(32)) -> int:
        """Propose a call, and approve it. Returns the motion's number."""
        before = cast(int, self._read("motions"))
        self._send(signer, "propose", "0x" + target.hex(), data, reason_root)
        # Others may have proposed in between: the motion is the first new one with this call.
        for number in range(before + 1, cast(int, self._read("motions")) + 1):
            found = self.motion(number)
            if (found.target, found.data) == (target, data):
                return number
        raise NotFoundError("the motion is not on the chain", hint="propose it again")

    def approve(self, signer: Signer, number: int) -> None:
        self._send(signer, "approve", number)

    def retract(self, signer: Signer, number: int) -> None:
        self._send(signer, "retract", number)

    def execute(self, signer: Signer, number: int) -> None:
        """Make the motion's call. Raises ContractRefusedError with the error of the call itself."""
        self._send(signer, "execute", number)

    def _read(self, function: str, *values: object) -> Value:
        answer = self.chain.node.call(self.address, codec.encode_function(_NAME, function, *values))
        return codec.decode_result(_NAME, function, answer)[0]

    def _send(self, signer: Signer, function: str, *values: object) -> None:
        self.chain.verify_served()
        self.chain.verify_state()
        self.chain.fund(signer.address)
        data = codec.encode_function(_NAME, function, *values)
        send_call(self.chain.node, self.chain.profile, signer, self.address, data)


def _state(found: dict[str, Any], executable_at: int, lapses_at: int, now: int, term: int) -> MotionState:
    if found["executed"]:
        return MotionState.EXECUTED
    if found["term"] != term or now >= lapses_at:
        return MotionState.OVER
    if not executable_at:
        return MotionState.OPEN
    return MotionState.DUE if now >= executable_at else MotionState.WAITING


def deploy_council(chain: Chain, owner: Signer, members: Sequence[int], quorum: int, delay_s: int) -> Council:
    """Deploy a council of the chain's registry. It owns nothing until the registry is offered to it, and it accepts.
    Raises ContractRefusedError for a list, quorum or delay that a council must not have."""
    chain.fund(owner.address)
    arguments = ("0x" + chain.registry.hex(), delay_s, tuple(members), quorum)
    return Council(chain, create(chain.node, chain.profile, owner, _NAME, arguments))


def find_council(chain: Chain) -> tuple[Council, bool]:
    """The council that owns the registry, or to which it is offered, and whether it owns it already. Raises
    NotFoundError if there is none."""
    for view, owns in (("owner", True), ("pendingOwner", False)):
        address = cast(bytes, chain.read(Contract.REGISTRY, view)[0])
        if address != _NOBODY and chain.node.code(address):
            return Council(chain, address), owns
    raise NotFoundError(CouncilGround.NO_COUNCIL.write(), hint="the owner makes one with `millmark council install`")


def build_call(chain: Chain, council: bytes, name: str, words: Sequence[str]) -> tuple[bytes, bytes]:
    """Target and data of an owner's call, from its name (`set-roles` or `setRoles`) and its arguments as text. Lists
    are separated by commas; claims roots at the end may be left out. Raises InputError."""
    first, *rest = name.split("-")
    function = first + "".join(part.capitalize() for part in rest)
    if function not in CALLS:
        raise InputError(
            CouncilGround.NOT_ITS_CALL.write(call=f"{name!r}"), hint=f"use one of {', '.join(map(kebab, CALLS))}"
        )
    callee = CALLS[function]
    inputs = _inputs(callee, function)
    roots = sum(one["name"].endswith("Root") for one in inputs)
    if not len(inputs) - roots <= len(words) <= len(inputs):
        asked = " ".join(one["name"] for one in inputs)
        raise InputError(CouncilGround.OTHER_ARGUMENTS.write(call=name), hint=f"give {asked or 'none'}")
    values = [_parse(one["type"], word) for one, word in zip(inputs, words, strict=False)]
    values += [bytes(32)] * (len(inputs) - len(words))
    target = council if callee == _NAME else chain.address(cast(Contract, callee))
    return target, codec.encode_function(callee, function, *values)


def describe_call(chain: Chain, council: bytes, target: bytes, data: bytes) -> str:
    """A motion's call as text, as `build_call` takes it; the bytes where this version does not know it."""
    known: dict[bytes, Contract | str] = {one: contract for contract in Contract if (one := chain.address(contract))}
    callee = _NAME if target == council else known.get(target)
    found = None if callee is None else codec.read_function(callee, data)
    if found is None:
        return f"{to_hex(target)} {to_hex(data)}"
    name, values = found
    return " ".join((kebab(name), *(_text(value) for value in values)))


def kebab(name: str) -> str:
    """`setRoles` -> `set-roles`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)


def _inputs(callee: Contract | str, function: str) -> list[dict[str, str]]:
    abi = codec.load_abi(callee) if isinstance(callee, Contract) else codec.load_artifact(callee).abi
    return next(entry["inputs"] for entry in abi if entry["type"] == "function" and entry["name"] == function)


def _parse(kind: str, word: str) -> object:
    try:
        if kind.endswith("[]"):
            return tuple(_parse(kind[:-2], one) for one in word.split(",") if one)
        if kind.startswith("uint"):
            return _number(kind, word)
        raw = bytes.fromhex(word.removeprefix("0x"))
        if len(raw) != (20 if kind == "address" else 32):
            raise ValueError
    except ValueError:
        cause = CouncilGround.NOT_OF_TYPE.write(word=f"{word[:80]!r}", type=kind)
        raise InputError(cause, hint="see the arguments of the call") from None
    return "0x" + raw.hex() if kind == "address" else raw


def _number(kind: str, word: str) -> int:
    number = int(word)
    if not 0 <= number < 1 << int(kind.removeprefix("uint")):
        raise ValueError
    return number


def _text(value: Value) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return to_hex(value) if isinstance(value, bytes) else str(value)
