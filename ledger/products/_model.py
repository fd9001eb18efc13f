"""The parts of a product document, as frozen dataclasses that write themselves as JSON. `_parse` reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.errors import SpecificationError

# Sets of values that an option may have: what conditions allow, and what a choice has left of an option.


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


FORMAT, VERSION = "millmark.product", 1
MAX_BYTES = 24 * 1024
"""Largest canonical JSON of a product, which an order's document contains as one text."""
MAX_FILE_BYTES = 4 * MAX_BYTES
"""Largest JSON that is parsed: it may be laid out for people."""
_TAG = b"millmark.product.v1\0"

Names: TypeAlias = Mapping[str, str]
"""Text by language (ISO 639-1)."""
Condition: TypeAlias = Mapping[str, Domain]
"""What options must have, all of it: values of choices, spans of integers and of the lengths of texts."""


def name_in(names: Names, language: str) -> str:
    """The text in a language; in English, or else the first language, where that is missing."""
    return names.get(language) or names.get("en") or names[min(names)]


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that an option can have."""

    value: str
    names: Names
    price: int
    """Added to the product's price, in its currency's unit."""
    co2e_mg: int | None = None
    """Added to the footprint of a piece, in mg of CO2e; below 0 where it saves some. None where that is not stated."""
    lead_hours: int | None = None
    """By how many hours a piece is ready later; None where that is not stated."""

    def to_json(self) -> Json:
        stated = {"co2e_mg": self.co2e_mg, "lead_hours": self.lead_hours}
        members: dict[str, Json] = {name: value for name, value in stated.items() if value is not None}
        return {"value": self.value, "names": self.names, "price": self.price, **members}


@dataclass(frozen=True, slots=True)
class ChoiceOption:
    """An option with a list of values."""

    key: str
    names: Names
    choices: tuple[Choice, ...]

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(choice.value for choice in self.choices)

    def to_json(self) -> Json:
        return {"key": self.key, "names": self.names, "choices": [choice.to_json() for choice in self.choices]}


@dataclass(frozen=True, slots=True)
class IntegerOption:
    """An option that is a whole number."""

    key: str
    names: Names
    least: int
    most: int
    unit: str
    """Such as mm; for people only."""
    price_per: int
    """Added to the product's price for each unit of the number."""

    def to_json(self) -> Json:
        return {
            "key": self.key,
            "names": self.names,
            "integer": [self.least, self.most],
            "unit": self.unit,
            "price_per": self.price_per,
        }


@dataclass(frozen=True, slots=True)
class TextOption:
    """An option that is a text of the buyer's own, on one line."""

    key: str
    names: Names
    least: int
    """Shortest length, in Unicode code points; 0 where the text may be left out."""
    most: int
    price: int
    """Added to the product's price unless the text is empty."""
    characters: str | None
    """The only characters that it may have; None for all printable ones."""

    def to_json(self) -> Json:
        members: dict[str, Json] = {
            "key": self.key,
            "names": self.names,
            "text": [self.least, self.most],
            "price": self.price,
        }
        return members if self.characters is None else {**members, "characters": self.characters}


Option: TypeAlias = ChoiceOption | IntegerOption | TextOption


@dataclass(frozen=True, slots=True)
class Constraint:
    """Conditions that must not all hold at once. With `then`: one condition that requires `then` to hold too."""

    conditions: tuple[Condition, ...]
    """The one of "if", or those of "excludes"."""
    then: Condition | None

    def to_json(self) -> Json:
        if self.then is None:
            return {"excludes": [_condition(one) for one in self.conditions]}
        return {"if": _condition(self.conditions[0]), "then": _condition(self.then)}


@dataclass(frozen=True, slots=True)
class FromOption:
    """A value that the buyer's choice fills in."""

    key: str

    def to_json(self) -> Json:
        return {"option": self.key}


@dataclass(frozen=True, slots=True)
class Need:
    """The capability that a step needs of its machine."""

    kind: str
    """Kind of operation, such as turning."""
    values: Mapping[str, int | str | FromOption]

    def to_json(self) -> Json:
        values = {key: one.to_json() if isinstance(one, FromOption) else one for key, one in self.values.items()}
        return {"kind": self.kind, "values": values}


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the route."""

    name: str
    need: Need
    minutes: int
    """Indicative time that it takes for one piece."""
    when: Condition | None
    """Only then it is done; None for always."""

    def to_json(self) -> Json:
        members: dict[str, Json] = {"name": self.name, "need": self.need.to_json(), "minutes": self.minutes}
        return members if self.when is None else {**members, "when": _condition(self.when)}


@dataclass(frozen=True)
class Product:
    """A product that can be ordered. Not slotted, because the digest is computed once."""

    product: str
    """Its short name, such as crankshaft."""
    names: Names
    currency: str
    """Code of ISO 4217 and the fraction of it in which prices are, such as EUR/100."""
    price: int
    options: tuple[Option, ...]
    constraints: tuple[Constraint, ...]
    route: tuple[Step, ...]
    gtin: str | None = None
    """GTIN of 14 digits."""
    marks: tuple[str, ...] = ()
    """GS1 application identifiers that every piece is marked with beside the GTIN, such as 21 (serial) and 17
    (expiry)."""

    @property
    def by_key(self) -> dict[str, Option]:
        """The options by their keys, in the document's order."""
        return {option.key: option for option in self.options}

    @cached_property
    def digest(self) -> bytes:
        """SHA-256(tag || canonical JSON), 32 bytes: what specifications name the product by."""
        return sha256(_TAG + self.canonical)

    @property
    def canonical(self) -> bytes:
        """Its canonical JSON (RFC 8785)."""
        return canonical_json(self.to_json())

    def to_json(self) -> Json:
        members: dict[str, Json] = {
            "format": FORMAT,
            "version": VERSION,
            "product": self.product,
            "names": self.names,
            "currency": self.currency,
            "price": self.price,
            "options": [option.to_json() for option in self.options],
            "constraints": [constraint.to_json() for constraint in self.constraints],
            "route": [step.to_json() for step in self.route],
        }
        if self.gtin is not None:
            members["gtin"] = self.gtin
        return {**members, "marks": list(self.marks)} if self.marks else members


def _condition(condition: Condition) -> dict[str, Json]:
    return {key: allowed.to_json() for key, allowed in condition.items()}


# Values of options: checked against the option, read from text, and written for people.

Value: TypeAlias = str | int
_INTEGER = re.compile("-?[0-9]{1,15}")


def full_domain(option: Option) -> Domain:
    """All values of an option; of a text, all lengths."""
    return ValueSet(option.values) if isinstance(option, ChoiceOption) else Span(option.least, option.most)


def domain_of(option: Option, value: Value) -> Domain:
    """The one value of an option that has been chosen; of a text, its length."""
    if isinstance(option, ChoiceOption):
        return ValueSet((str(value),))
    size = value if isinstance(value, int) else len(value)
    return Span(size, size)


def check_value(option: Option, value: object) -> Value:
    """Return the value if the option allows it. Raises SpecificationError."""
    key = option.key
    if isinstance(option, ChoiceOption):
        if not isinstance(value, str) or value not in option.values:
            raise SpecificationError(
                f"{key} {_shown(value)} is not a choice", hint=f"choose {', '.join(option.values)}"
            )
        return value
    if isinstance(option, IntegerOption):
        if isinstance(value, bool) or not isinstance(value, int) or not option.least <= value <= option.most:
            raise SpecificationError(
                f"{key} {_shown(value)} is out of range",
                hint=f"give a whole number from {option.least} to {option.most} ({option.unit})",
            )
        return value
    if not isinstance(value, str) or not option.least <= len(value) <= option.most or not is_plain(value):
        raise SpecificationError(
            f"{key} {_shown(value)} is not a text of {option.least} to {option.most} printable characters",
            hint="write it on one line, without spaces at its ends",
        )
    wrong = "" if option.characters is None else "".join(sorted(set(value) - set(option.characters)))
    if wrong:
        raise SpecificationError(
            f"{key} has the character {wrong[0]!a}", hint=f"only these can be: {option.characters}"
        )
    return value


def read_value(option: Option, text: str) -> Value:
    """The value that a person wrote. Raises SpecificationError."""
    if isinstance(option, IntegerOption) and _INTEGER.fullmatch(text):
        return check_value(option, int(text))
    return check_value(option, text)


def is_plain(text: str) -> bool:
    """Whether a text is printable, on one line, and without spaces at its ends."""
    return text.isprintable() and text.strip() == text


def describe(option: Option, domain: Domain) -> str:
    """The possible values of an option in words; for a text option, its possible lengths."""
    return f"{domain} characters" if isinstance(option, TextOption) else str(domain)


def money(amount: int, currency: str) -> str:
    """An amount for people: 12345 in EUR/100 is EUR 123.45."""
    code, _, fraction = currency.partition("/")
    digits = len(fraction) - 1
    whole, rest = divmod(abs(amount), int(fraction))
    sign = "-" if amount < 0 else ""
    return f"{code} {sign}{whole:,}" + (f".{rest:0{digits}d}" if digits else "")


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, int | float | bool) or value is None else ascii(str(value)[:40])
