"""What a state of the model is made of: one order, its operations and lots, and the companies behind them; packed into
one 64-bit key, so that millions are compared and sorted as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Column = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Change = Mapping[str, Column | int]
"""New values of the fields that an act changes."""
Changes = dict[str, Column | int]


class Columns:
    """One array for each field, over many states. A selection of rows is gathered field by field, when it is read."""

    def __init__(self, fields: Mapping[str, Column], rows: NDArray[np.signedinteger] | None = None) -> None:
        self._fields, self._rows = fields, rows
        self._gathered: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if self._rows is None:
            return self._fields[name]
        if name not in self._gathered:
            self._gathered[name] = self._fields[name][self._rows]
        return self._gathered[name]

    def at(self, rows: NDArray[np.signedinteger]) -> Columns:
        """The same, of those rows only."""
        return Columns(self._fields, rows)


class Layout:
    """Names of fields and their widths in bits."""

    def __init__(self, widths: Iterable[tuple[str, int]]) -> None:
        self.shifts: dict[str, tuple[int, int]] = {}
        used = 0
        for name, bits in widths:
            self.shifts[name] = (used, bits)
            used += bits
        self.bits = used
        """Over 64 in worlds that are only walked, whose states are no keys."""

    def unpack(self, keys: Keys) -> Columns:
        return Columns({name: self.read(keys, name) for name in self.shifts})

    def read(self, keys: Keys, name: str) -> Column:
        shift, bits = self.shifts[name]
        return ((keys >> np.uint64(shift)) & np.uint64((1 << bits) - 1)).astype(np.uint8)

    def pack(self, values: Mapping[str, int]) -> int:
        return sum(value << self.shifts[name][0] for name, value in values.items())

    def mask(self, names: Iterable[str]) -> int:
        """The bits of some fields."""
        bits = 0
        for name in names:
            shift, width = self.shifts[name]
            bits |= ((1 << width) - 1) << shift
        return bits

    def change(self, keys: Keys, change: Change) -> Keys:
        """The keys with other values in some fields."""
        keys = keys & np.uint64(~self.mask(change) & (2**64 - 1))
        for name, value in change.items():
            shift = np.uint64(self.shifts[name][0])
            keys |= np.uint64(value) << shift if isinstance(value, int) else value.astype(np.uint64) << shift
        return keys

    def describe(self, key: int) -> dict[str, int]:
        return {name: key >> shift & ((1 << bits) - 1) for name, (shift, bits) in self.shifts.items()}


BUYER: Final = 1
MAKER: Final = 2
OF_A_LOT: Final = "hswbvcxorqkzy"
"""Names of the fields that each lot has, see `World`."""


class Order(IntEnum):
    PLACED = 0
    ACCEPTED = 1
    IN_PRODUCTION = 2
    COMPLETED = 3
    DELIVERED = 4
    ENDED = 5
    CLOSED = 6
    """Cancelled before production."""


class Operation(IntEnum):
    """Of its latest assignment; one that was declined or cancelled is as good as none."""

    IDLE = 0
    PROPOSED = 1
    ACCEPTED = 2
    STARTED = 3
    FINISHED = 4


class Proposed(IntEnum):
    NOTHING = 0
    END = 1
    COORDINATOR = 2
    """That the buyer coordinates; when it does, that the maker does."""
    GATE = 3
    """That the buyer inspects, on a model of its own."""


class Lot(IntEnum):
    NONE = 0
    HELD = 1
    OFFERED = 2
    QUARANTINED = 3
    RETURNING = 4
    SPENT = 5
    SOLD = 6
    """On the ledger the same as spent."""


class Kind(IntEnum):
    """What an act is called, as contracts/test/model/Acts.sol numbers it."""

    ACCEPT_ORDER = 1
    CANCEL_ORDER = 3
    PROPOSE_ASSIGNMENT = 4
    ACCEPT_ASSIGNMENT = 5
    DECLINE_ASSIGNMENT = 6
    START_ASSIGNMENT = 7
    FINISH_ASSIGNMENT = 8
    CANCEL_ASSIGNMENT = 9
    COMPLETE_ORDER = 10
    CONFIRM_DELIVERY = 11
    PROPOSE = 12
    AGREE = 13
    COMMISSION = 14
    RECEIVE = 15
    SCRAP = 16
    SELL = 17
    PACK = 18
    UNPACK = 19
    QUARANTINE = 20
    RELEASE = 21
    REWORK = 22
    ALLOCATE = 23
    DEALLOCATE = 24
    OFFER = 25
    ACCEPT = 26
    DECLINE = 27
    WITHDRAW = 28
    RETURN = 29
    RECLAIM = 30
    RECLAIM_ENTRUSTED = 31
    """After the council entrusted the absent company's goods to who reclaims them."""
    PASS = 32
    FAIL = 33
    REVOKE = 34
    DEMAND = 35
    SUSPEND = 36
    REINSTATE = 37
    WAIT = 38
    """Fifteen days: longer than an absence or an end has to last, a certificate is valid, or an opening takes."""
    WITHDRAW_MODEL = 39
    END_ABANDONED = 41
    """After the council entrusted what the buyer has to who ends the order."""
    ORDER_MOVES = 40
    """In a world of `any_order`."""
    PASS_SECOND = 42
    """Of the second gate's inspector, by procedure."""
    FAIL_SECOND = 43
    WAIVE = 44
    """Of the first gate."""


TROUBLE: Final = frozenset({Kind.SUSPEND, Kind.REINSTATE, Kind.WITHDRAW_MODEL})
"""What befalls the parties; nobody may need it in order to go on."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that ended a dead end, each by the audit's name of it. False: as the first generation had it."""

    F2_gone_is_lifted: bool = True
    H5_completed_is_revised: bool = True
    H5_completed_is_assigned: bool = True
    H6_failed_goes_back: bool = True
    H7_quarantined_is_unpacked: bool = True
    H7_only_the_gate_sets_apart: bool = True
    H8_absent_is_reclaimed: bool = True
    H8_coordinator_is_replaced: bool = True
    H8_production_is_ended: bool = True
    H8_abandoned_is_ended: bool = True
    H8_inspector_is_who_made_nothing: bool = True
    M4_delivered_is_released: bool = True
    M5_lapsed_is_released: bool = True
    M14_delivery_is_counted: bool = True
    M15_lot_leaves_its_order: bool = True
    goods_are_sold: bool = True


@dataclass(frozen=True, slots=True)
class World:
    """Companies are numbered from 1: the buyer, the maker, and others. The buyer may also coordinate, and inspect."""

    lots: int = 1
    operations: int = 2
    companies: int = 3
    coordinator: int = MAKER
    inspector: int = 3
    """0 when the order has no gate."""
    second: int = 0
    """The inspector of a second gate, only beside the first one; 0 when there is none. Neither is revised then."""
    failures: int = 1
    """How many companies may be suspended at a time."""
    revisions: bool = True
    demands: bool = True
    """Whether openings are demanded, and certificates revoked."""
    withdrawals: bool = True
    """Whether the model of the gate may be withdrawn."""
    waivers: bool = False
    """Whether the buyer may waive the first gate for a lot. That gate is not revised then."""
    any_order: bool = False
    """The order comes to any state from any other, whatever its rules: more than it can, so what lots can come to then
    holds for every order."""
    rules: Rules = Rules()

    def without(self, *rules: str) -> World:
        """With some rules as the first generation had them."""
        return replace(self, rules=replace(self.rules, **dict.fromkeys(rules, False)))

    def layout(self) -> Layout:
        company = self.companies.bit_length()
        order = [("os", 3), ("co", company), ("gi", company), ("wd", 1), ("pk", 2), ("pc", 2), ("po", 1)]
        operations = [(f"{name}{i}", bits) for i in range(self.operations) for name, bits in (("a", 3), ("f", 1))]
        companies = [(f"st{number}", 2) for number in self.numbers()]
        return Layout([*order, *operations, *companies, *(one for lot in range(self.lots) for one in self._lot(lot))])

    def _lot(self, lot: int) -> list[tuple[str, int]]:
        """Holder, state, who set it apart or is offered it, whether it is the order's. Of the latest certificate of the
        gate's inspector: verdict, state, expired, whether any is open, before a rework. Behind a quarantine; packed.
        Whether the first gate is waived; whether the second inspector's latest passes and counts."""
        company = self.companies.bit_length()
        # No bits for what this world lacks: two lots of two operations would not fit in a key otherwise.
        widths = (company, 3, company, 1, 2, 2, 1, 1, 1, 2, 1, int(self.waivers), int(self.second != 0))
        return [(f"{name}{lot}", bits) for name, bits in zip(OF_A_LOT, widths, strict=True)]

    def numbers(self) -> range:
        return range(1, self.companies + 1)

    def start(self) -> dict[str, int]:
        """An order is placed; nothing else has happened."""
        return {"co": self.coordinator, "gi": self.inspector}


@dataclass(frozen=True, slots=True)
class Act:
    """One call by one company, 0 for the council, time and the auditor. What it changes, its guard has allowed."""

    kind: Kind
    actor: int
    argument: int
    guard: Callable[[Columns], Mask]
    change: Callable[[Columns], Change]

    def __str__(self) -> str:
        who = {0: "", BUYER: "buyer", MAKER: "maker"}.get(self.actor, f"company {self.actor}")
        return f"{who} {self.kind.name.lower()} {self.argument}".strip()


def active(s: Columns, company: int) -> Mask:
    return s[f"st{company}"] == 0


def absent(s: Columns, company: int) -> Mask:
    """For longer than the period after which its goods are reclaimed."""
    return s[f"st{company}"] == 2


def chosen(condition: Mask, value: Columns, name: str, otherwise: int) -> Change:
    """`name` is set to `otherwise` where the condition holds, and kept elsewhere."""
    kept = value[name].copy()
    kept[condition] = otherwise
    return {name: kept}
