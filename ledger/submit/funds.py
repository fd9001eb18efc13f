"""How long the balance of a key lasts, on networks where gas costs something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.chain import EngineProfile, Fees, Node, first_fees
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Spending, find_spending

__all__ = ["GAS_PER_RECORD", "LOW_DAYS", "LOW_RECORDS", "Funds", "look_at_funds"]

GAS_PER_RECORD = 150_000
"""Gas of a record before a key has made any: more than most kinds take in a batch of 50 (GAS.md)."""
LOW_RECORDS = 1000
LOW_DAYS = 7


@dataclass(frozen=True, slots=True)
class Funds:
    """What a key has, and how fast it spends it."""

    key: bytes
    balance_wei: int
    fees: Fees
    spending: Spending

    @property
    def is_free(self) -> bool:
        """Whether the network takes no fees, so that no balance is needed."""
        return self.fees.max_fee_wei == 0

    @property
    def records_left(self) -> int | None:
        """Number of records that the balance pays for at the highest price offered now; None if they are free."""
        gas = self.spending.gas_per_record or GAS_PER_RECORD
        return None if self.is_free else self.balance_wei // (gas * self.fees.max_fee_wei)

    @property
    def days_left(self) -> int | None:
        """Days until then, at the present rate of records; None if they are free, or none were made."""
        rate, left = self.spending.records_per_day, self.records_left
        return None if left is None or rate == 0 else left // rate

    @property
    def is_low(self) -> bool:
        """Whether the balance should be topped up now."""
        left, days = self.records_left, self.days_left
        return left is not None and (left < LOW_RECORDS or (days is not None and days < LOW_DAYS))

    def missing_wei(self, records: int) -> int:
        """What the balance lacks for this number of records; 0 if it is enough, or they are free."""
        gas = self.spending.gas_per_record or GAS_PER_RECORD
        return max(records * gas * self.fees.max_fee_wei - self.balance_wei, 0)

    def describe(self) -> str:
        """The balance in words, without the key."""
        if self.is_free:
            return "the network takes no fees: no balance is needed"
        days = "" if self.days_left is None else f", {self.days_left} days at its present rate"
        return f"{self.balance_wei} wei, enough for {self.records_left} records{days}"

    def to_json(self) -> dict[str, object]:
        return {
            "key": "0x" + self.key.hex(),
            "balance_wei": self.balance_wei,
            "fee_per_gas_wei": self.fees.max_fee_wei,
            "records_left": self.records_left,
            "days_left": self.days_left,
            "is_low": self.is_low,
        }


def look_at_funds(node: Node, profile: EngineProfile, store: Store, keys: Sequence[bytes], now_s: float) -> list[Funds]:
    """Ask the node for the balances of keys. `now_s` is Unix time. Raises ChainError, StoreError."""
    fees = first_fees(node, profile)
    with store.reading() as connection:
        spent = [find_spending(connection, key, now_s) for key in keys]
    # One after another, outside the database's transaction: a node that hangs must not hold it open.
    balances = [node.balance_wei(key) for key in keys]
    return [Funds(key, wei, fees, each) for key, wei, each in zip(keys, balances, spent, strict=True)]
