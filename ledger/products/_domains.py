"""Sets of values that an option may have: what conditions allow, and what a choice has left of an option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from millmark.ledger.canonical import Json


@dataclass(frozen=True, slots=True)
class ValueSet:
    """Values of an option with choices, in the product's order."""

    values: tuple[str, ...]

    @property
    def is_single(self) -> bool:
        return len(self.values) == 1

    def within(self, other: Domain) -> bool:
        """Whether `other` has all of these."""
        return isinstance(other, ValueSet) and set(self.values) <= set(other.values)

    def apart(self, other: Domain) -> bool:
        """Whether `other` has none of these."""
        return not (isinstance(other, ValueSet) and set(self.values) & set(other.values))

    def keep(self, other: Domain) -> ValueSet:
        """Those that `other` has, too."""
        return ValueSet(tuple(one for one in self.values if not ValueSet((one,)).apart(other)))

    def drop(self, other: Domain) -> ValueSet:
        """Those that `other` lacks."""
        return ValueSet(tuple(one for one in self.values if ValueSet((one,)).apart(other)))

    def to_json(self) -> Json:
        return list(self.values)

    def __str__(self) -> str:
        return " or ".join(self.values)


@dataclass(frozen=True, slots=True)
class Span:
    """Whole numbers from `least` to `most`, both included: values of an integer, or lengths of a text."""

    least: int
    most: int

    @property
    def is_single(self) -> bool:
        return self.least == self.most

    def within(self, other: Domain) -> bool:
        """Whether `other` has all of these."""
        return isinstance(other, Span) and other.least <= self.least and self.most <= other.most

    def apart(self, other: Domain) -> bool:
        """Whether `other` has none of these."""
        return not isinstance(other, Span) or other.most < self.least or self.most < other.least

    def keep(self, other: Domain) -> Span:
        """Those that `other` has, too."""
        return Span(max(self.least, other.least), min(self.most, other.most)) if isinstance(other, Span) else self

    def drop(self, other: Domain) -> Span:
        """Those that `other` lacks; also some that it has if what is left would be in two parts."""
        if self.apart(other) or not isinstance(other, Span):
            return self
        if other.least <= self.least:
            return Span(other.most + 1, self.most)
        return Span(self.least, other.least - 1) if self.most <= other.most else self

    def to_json(self) -> Json:
        return [self.least, self.most]

    def __str__(self) -> str:
        return str(self.least) if self.is_single else f"{self.least} to {self.most}"


Domain: TypeAlias = ValueSet | Span
