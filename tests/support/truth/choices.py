"""What companies in a random world choose among."""

from __future__ import annotations

from dataclasses import dataclass, field

from millmark.services.demo.consortium import Company
from tests.support.bundle_world import NOTHING
from tests.support.truth.world import MACHINES, TruthWorld

__all__ = ["DAY_S", "MAKING", "Choices", "Job"]

DAY_S = 86_400
MAKING = ("forge", "mill", "line", "cell")


@dataclass
class Job:
    """An assignment of an order's operation, and how far it is."""

    order: bytes
    operation: int
    number: int
    machine: str
    state: str = "accepted"


@dataclass
class Choices:
    """What there is to choose from. It serves the choice only, and may be wrong: then the contract refuses."""

    world: TruthWorld
    holders: dict[bytes, str] = field(default_factory=dict)
    """The company that has each lot."""
    orders: dict[bytes, bytes] = field(default_factory=dict)
    """The order of each lot."""
    placed: list[bytes] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    inside: dict[bytes, bytes] = field(default_factory=dict)
    amounts: dict[bytes, int] = field(default_factory=dict)
    units: dict[bytes, bytes] = field(default_factory=dict)
    count: int = 0

    def chance(self, of_one: float) -> bool:
        return self.world.choose.random() < of_one

    def lot(self) -> bytes:
        return self.world.choose.choice(list(self.holders))

    def held(self) -> tuple[bytes, Company]:
        """A lot and the company that has it."""
        lot = self.lot()
        return lot, self.world.company(self.holders[lot])

    def job(self, state: str) -> Job:
        return self.world.choose.choice([one for one in self.jobs if one.state == state])

    def beside(self, lot: bytes) -> list[bytes]:
        """What the same company has."""
        return [one for one, name in self.holders.items() if name == self.holders[lot] and one != lot]

    def operation(self, lot: bytes) -> int:
        """An operation of the lot's order that its holder has under way; any if there is none."""
        found = [one for one in self.jobs if one.state == "started" and one.order == self.order_of(lot)]
        mine = [one.operation for one in found if MACHINES[one.machine] == self.holders[lot]]
        return self.world.choose.choice(mine or [0, 1])

    def order_of(self, lot: bytes) -> bytes:
        return self.orders.get(lot, NOTHING)

    def new_name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}-{self.count}"

    def document(self, text: str) -> bytes:
        return self.world.document({"text": text}) if self.chance(0.3) else NOTHING

    def take_over(self, lot: bytes, name: str, holder: str, amount: tuple[int, bytes], order: bytes = NOTHING) -> None:
        self.world.lots[name], self.holders[lot] = lot, holder
        self.amounts[lot], self.units[lot] = amount
        if order != NOTHING:
            self.orders[lot] = order
