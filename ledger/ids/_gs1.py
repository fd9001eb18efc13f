"""GS1's rules for keys, qualifiers and data attributes: order, values, and which ones require or exclude others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids._ai_table import ROWS
from millmark.ledger.ids._checks import CHECKS, CSET82, check_digit

__all__ = [
    "ATTRIBUTES",
    "CSET82",
    "KEYS",
    "RULES",
    "AiRule",
    "belongs_in_path",
    "check_digit",
    "check_order",
    "check_path",
    "check_value",
    "excluded_by",
    "is_known_ai",
    "unmet_needs",
]

_CHARACTERS = {"n": "0-9", "x": '!"%-?A-Z_a-z', "y": "#\\-/0-9A-Z", "z": "\\-0-9=A-Z_a-z"}


@dataclass(frozen=True, slots=True)
class _Component:
    """The rule for one part of a value."""

    pattern: re.Pattern[str]
    """Matches as many characters as the part can have."""
    optional: bool
    checks: tuple[str, ...]
    """Names in `millmark.ledger.ids._checks`."""


@dataclass(frozen=True, slots=True)
class AiRule:
    """The rule for one application identifier."""

    name: str
    """Its name, for messages."""
    in_query: bool
    """Whether it may be a data attribute."""
    components: tuple[_Component, ...]
    requires: tuple[tuple[str, ...], ...]
    """Alternatives, one of which must be on the item with all its members; () if none is needed. "n" is any digit."""
    excludes: tuple[str, ...]
    """AIs that must not be on the item; "n" is any digit."""


def _component(text: str) -> _Component:
    shape, *checks = text.split(":")
    least, _, most = shape[1:].rstrip("?").partition("-")
    pattern = f"[{_CHARACTERS[shape[0]]}]{{{least},{most or least}}}"
    if shape[0] == "z":
        pattern = r"(?=[^=]+={0,2}\Z)" + pattern  # padding ends the value
    return _Component(re.compile(pattern), shape.endswith("?"), tuple(checks))


def _codes(text: str) -> Iterator[str]:
    first, _, last = text.partition("-")
    for code in range(int(first), int(last or first) + 1):
        yield f"{code:0{len(first)}}"


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


RULES: dict[str, AiRule] = {
    code: AiRule(
        name,
        where == "query",
        tuple(map(_component, value.split())),
        tuple(tuple(way.split("+")) for way in _split(requires)),
        _split(excludes),
    )
    for codes, where, value, _, requires, excludes, name in ROWS
    for code in _codes(codes)
}
"""Rules by application identifier."""

KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    codes: tuple(_split(way) for way in qualifiers.split("|") if way != "-")
    for codes, _, _, qualifiers, _, _, _ in ROWS
    if qualifiers
}
"""Alternative sequences of qualifiers by primary key, each in the order of the path."""

_QUALIFIERS = {key: frozenset(ai for way in ways for ai in way) for key, ways in KEYS.items()}

ATTRIBUTES = frozenset(ai for ai, rule in RULES.items() if rule.in_query)
"""The application identifiers that may be data attributes in a query."""


def is_known_ai(ai: str) -> bool:
    """Whether `ai` is a key, a qualifier or a data attribute."""
    return ai in RULES


def check_path(elements: tuple[tuple[str, str], ...]) -> None:
    """Check that (AI, value) pairs are a primary key and some of its qualifiers, in order, with valid values.

    Raises IdentifierError. Not established: that GS1 or a company issued the key.
    """
    check_order(elements)
    key, *qualifiers = (ai for ai, _ in elements)
    if any(set(way) <= set(_QUALIFIERS[key]) for way in RULES[key].requires) and unmet_needs(key, qualifiers):
        # Only (415), the party to pay: without (8020) nobody could tell for what.
        raise IdentifierError(f"({key}) lacks its qualifier", hint=f"add ({RULES[key].requires[0][0]}) to the path")
    for ai, value in elements:
        check_value(ai, value)
        if (ai, value) == ("254", "0"):
            # An EPC writes "no extension" as 0 (TDS 2.0 section 6.3.3). Accepted here, a place would have two names.
            raise IdentifierError("the extension (254) 0 means no extension", hint="leave /254/0 out")


def check_order(elements: tuple[tuple[str, str], ...]) -> None:
    """Check that (AI, value) pairs are a primary key and some of its qualifiers, in order. Raises IdentifierError."""
    key, *qualifiers = (ai for ai, _ in elements)
    alternatives = KEYS[key]
    if not any(_is_subsequence(qualifiers, allowed) for allowed in alternatives or ((),)):
        orders = " or ".join(", ".join(allowed) for allowed in alternatives) or "none"
        raise IdentifierError(
            f"({', '.join(qualifiers)}) cannot qualify ({key})",
            hint=f"allowed qualifiers of ({key}), in this order: {orders}",
        )


def belongs_in_path(elements: tuple[tuple[str, str], ...], ai: str) -> bool:
    """Whether `ai` could qualify the key in the path, beside its qualifiers, and so must not be a data attribute.

    The serial number of a third party (235) stands alone after the GTIN: with it, a batch is a data attribute.
    """
    key, *qualifiers = (one for one, _ in elements)
    return any(ai in allowed and set(qualifiers) <= set(allowed) for allowed in KEYS[key])


def _is_subsequence(some: list[str], allowed: tuple[str, ...]) -> bool:
    rest = iter(allowed)
    return all(ai in rest for ai in some)  # `in` consumes the iterator up to the match


def check_value(ai: str, value: str, *, digits: bool = True) -> None:
    """Check characters, length and content of a value. Raises IdentifierError.

    Without `digits`, the content is not checked, except for digits where the company prefix must be.
    """
    rule, rest = RULES[ai], value
    for component in rule.components:
        if not rest and component.optional:
            break
        match = component.pattern.match(rest)
        if match is None:
            raise _malformed(ai, value)
        rest = rest[match.end() :]
        for name in component.checks:
            if (digits or name.startswith("gcppos")) and not CHECKS[name](match[0]):
                raise _wrong(ai, value, name, match[0])
    if rest:
        raise _malformed(ai, value)


def _malformed(ai: str, value: str) -> IdentifierError:
    hint = "write a GTIN with 14 digits, padded with zeros on the left" if ai == "01" and value.isdecimal() else ""
    return IdentifierError(f"({ai}) {value[:40]!a} is not a {RULES[ai].name}", hint=hint)


def _wrong(ai: str, value: str, check: str, part: str) -> IdentifierError:
    shown = f"({ai}) {value[:40]!a}"
    if check == "csum":
        expected = check_digit(part[:-1])
        return IdentifierError(
            f"{shown} has the check digit {part[-1]} instead of {expected}", hint="copy the number again"
        )
    if check == "csumalpha":
        return IdentifierError(f"{shown} has wrong check characters", hint="copy the number again")
    if check == "pieceoftotal":
        return IdentifierError(f"{shown} has a piece number that is 0 or larger than the number of pieces")
    return IdentifierError(f"{shown} is not a {RULES[ai].name}: {part[:40]!a} fails the check {check}")


def excluded_by(ai: str, others: Collection[str]) -> list[str]:
    """Return those of `others` that must not be on the same item as `ai`."""
    return [other for other in others if other != ai and any(_fits(other, one) for one in RULES[ai].excludes)]


def unmet_needs(ai: str, others: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Return the alternatives of which `ai` requires one on the item, or () if the AIs `others` include one."""
    needs = RULES[ai].requires
    if any(all(any(_fits(other, one) for other in others) for one in way) for way in needs):
        return ()
    return needs


def _fits(ai: str, pattern: str) -> bool:
    return len(ai) == len(pattern) and all(wanted in ("n", digit) for digit, wanted in zip(ai, pattern, strict=True))
