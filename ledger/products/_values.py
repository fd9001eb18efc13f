"""Values of options: checked against the option, read from text, and written for people."""

from __future__ import annotations

import re
from typing import TypeAlias

from millmark.ledger.errors import SpecificationError
from millmark.ledger.products._domains import Domain, Span, ValueSet
from millmark.ledger.products._model import ChoiceOption, IntegerOption, Option, TextOption

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
            raise SpecificationError(f"{key} {_shown(value)} is not a choice", hint=f"choose {_listed(option)}")
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
    """What an option has, for people: its values, or of a text, its length."""
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


def _listed(option: ChoiceOption) -> str:
    return ", ".join(option.values)
