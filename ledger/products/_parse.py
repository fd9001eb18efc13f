"""Parses product documents, which need not be trusted. Every refusal names the place and says what is allowed there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.errors import CanonicalError, IdentifierError, ProductError
from millmark.ledger.ids import ATTRIBUTES, DigitalLink, excluded_by
from millmark.ledger.products import _model

# What each piece of a product is marked with: its GTIN, and further GS1 application identifiers (a UDI, for an
# implant).

_QUALIFIERS = ("22", "10", "21")
"""Variant, batch and serial: those that the path of a Digital Link has after a GTIN, in GS1's order."""


def verify_marks(gtin: str | None, marks: Sequence[str]) -> None:
    """Check a GTIN and the application identifiers beside it. Raises IdentifierError."""
    if gtin is None:
        if marks:
            raise IdentifierError("it has marks, but no gtin", hint="give the gtin that they are beside")
        return
    DigitalLink((("01", gtin),))  # checked at construction
    present = ["01", *marks]
    for place, ai in enumerate(present):
        if ai in present[:place]:
            raise IdentifierError(f"the mark ({ai}) occurs twice")
        if ai not in _QUALIFIERS and ai not in ATTRIBUTES:
            raise IdentifierError(f"({ai}) cannot be on a piece beside its GTIN", hint="such as 21, 10 and 17")
        if clash := excluded_by(ai, present):
            raise IdentifierError(f"the marks ({ai}) and ({clash[0]}) exclude each other", hint="leave one of them out")


def build_mark(product: _model.Product, values: Mapping[str, str]) -> DigitalLink:
    """Return what a piece is marked with, as a Digital Link with data attributes. `values` are by application
    identifier, exactly those that the product asks for.

    Raises IdentifierError for a product without GTIN, a missing or further application identifier, or a value that GS1
    does not allow, such as an expiry (17) that is not a date.
    """
    if product.gtin is None:
        raise IdentifierError(f"{product.product} has no GTIN")
    if values.keys() != set(product.marks):
        wanted = ", ".join(f"({ai})" for ai in product.marks) or "nothing"
        given = ", ".join(f"({ai})" for ai in values) or "nothing"
        raise IdentifierError(f"a {product.product} is marked with {wanted} beside its GTIN, not with {given}")
    path = [(ai, values[ai]) for ai in _QUALIFIERS if ai in values]
    link = DigitalLink(
        (("01", product.gtin), *path), tuple((ai, values[ai]) for ai in product.marks if ai not in _QUALIFIERS)
    )
    link.check_attributes()
    return link


def element_string(mark: DigitalLink) -> str:
    """The mark as people read it beside a code: (01)09506000013459(17)310131(21)A0001 (GS1 General Specifications,
    section 4.14). Attributes of fixed length, such as dates, come before serial and batch, which end where they end."""
    key, *qualifiers = mark.elements
    return "".join(f"({ai}){value}" for ai, value in (key, *mark.attributes, *qualifiers))


T = TypeVar("T")

MAX_OPTIONS: Final = 64
MAX_CHOICES: Final = 64
MAX_CONSTRAINTS: Final = 128
MAX_EXCLUDED: Final = 8
MAX_STEPS: Final = 64
"""As many operations as an order can have."""
MAX_VALUES: Final = 16
MAX_TEXT: Final = 200
MAX_PRICE: Final = 2**40
"""The highest price, also of the most that an integer option can cost: the sum of all stays below 2^53."""
_MAX_INTEGER: Final = 2**40
_MAX_MINUTES: Final = 1_000_000
_MAX_NAME: Final = 80
_MAX_DEPTH: Final = 8

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_LANGUAGE: Final = re.compile(r"[a-z]{2}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}/10{0,4}")
_MAX_LEAD_HOURS: Final = 10 * 366 * 24
_MAY_LACK: Final = frozenset({"gtin", "marks", "when", "characters", "co2e_mg", "lead_hours"})


def parse_product(data: bytes) -> _model.Product:
    """Parse a product document. Raises ProductError.

    On return, every specification that `configure` accepts has a route: each value that a step needs comes from an
    option of the right type, and at least one step is always done. Not established: that any specification satisfies
    the constraints (`find_unreachable` tells), or that a machine can do the steps.
    """
    try:
        value = parse_json(data, max_bytes=_model.MAX_FILE_BYTES, max_depth=_MAX_DEPTH)
    except CanonicalError as error:
        raise ProductError(f"the product document: {error.cause}", hint=error.hint) from None
    product = _product(value)
    if len(product.canonical) > _model.MAX_BYTES:
        raise ProductError(f"the product document has more than {_model.MAX_BYTES} bytes in canonical JSON")
    return product


def _product(value: Json) -> _model.Product:
    where = "the product document"
    if not isinstance(value, dict) or value.get("format") != _model.FORMAT:
        raise ProductError("this is not a product document", hint=f'it begins with "format": "{_model.FORMAT}"')
    if value.get("version") != _model.VERSION or isinstance(value["version"], bool):
        raise ProductError(f"this version reads version {_model.VERSION} of product documents only")
    names = "format version product gtin marks names currency price options constraints route"
    members = _members(value, names, where)
    options = _distinct(
        _each(members["options"], "option", _option, MAX_OPTIONS, least=1), lambda one: one.key, "option"
    )
    known = {option.key: option for option in options}
    route = _each(members["route"], "step", lambda one, at: _step(one, known, at), MAX_STEPS, least=1)
    _distinct(route, lambda step: step.name, "step")
    if all(step.when is not None for step in route):
        raise ProductError("every step of the route has a condition", hint="leave `when` out of those always done")
    gtin, marks = _identity(members, where)
    return _model.Product(
        product=_matching(members["product"], _NAME, f"{where}: product", "lower-case letters, digits and hyphens"),
        names=_names(members["names"], where),
        currency=_matching(members["currency"], _CURRENCY, f"{where}: currency", "such as EUR/100"),
        price=_integer(members["price"], 0, MAX_PRICE, f"{where}: price"),
        options=options,
        constraints=_each(
            members["constraints"], "constraint", lambda one, at: _constraint(one, known, at), MAX_CONSTRAINTS
        ),
        route=route,
        gtin=gtin,
        marks=marks,
    )


def _identity(members: Mapping[str, Json], where: str) -> tuple[str | None, tuple[str, ...]]:
    gtin = members.get("gtin")
    if gtin is not None and not isinstance(gtin, str):
        raise ProductError(f"{where}: gtin is not a text")
    marks = tuple(_each(members["marks"], "mark", _mark, MAX_VALUES, least=1)) if "marks" in members else ()
    try:
        verify_marks(gtin, marks)
    except IdentifierError as error:
        raise ProductError(f"{where}: {error.cause}", hint=error.hint) from None
    return gtin, marks


def _mark(value: Json, where: str) -> str:
    return _matching(value, re.compile("[0-9]{2,4}"), where, "an application identifier, such as 21")


def _option(value: Json, where: str) -> _model.Option:
    if isinstance(value, dict) and "choices" in value:
        members = _members(value, "key names choices", where)
        choices = _each(members["choices"], f"{where}: choice", _choice, MAX_CHOICES, least=1)
        return _model.ChoiceOption(
            *_named(members, where), _distinct(choices, lambda one: one.value, f"{where}: choice")
        )
    if isinstance(value, dict) and "integer" in value:
        members = _members(value, "key names integer unit price_per", where)
        span = _span(members["integer"], -_MAX_INTEGER, _MAX_INTEGER, f"{where}: integer")
        most = MAX_PRICE // max(abs(span.least), abs(span.most), 1)
        price = _integer(members["price_per"], 0, most, f"{where}: price_per")
        if price and span.least < 0:
            raise ProductError(f"{where}: a number that can be negative has a price", hint='write "price_per": 0')
        return _model.IntegerOption(
            *_named(members, where), span.least, span.most, _text(members["unit"], f"{where}: unit"), price
        )
    members = _members(value, "key names text price characters", where)
    span = _span(members["text"], 0, MAX_TEXT, f"{where}: text")
    price = _integer(members["price"], 0, MAX_PRICE, f"{where}: price")
    return _model.TextOption(*_named(members, where), span.least, span.most, price, _characters(members, where))


def _characters(members: Mapping[str, Json], where: str) -> str | None:
    found = members.get("characters")
    if found is None and "characters" not in members:
        return None
    if not isinstance(found, str) or not found.strip(" ") or not found.isprintable() or len(found) > MAX_TEXT:
        raise ProductError(f"{where}: characters is not a text of 1 to {MAX_TEXT} printable characters")
    if len(set(found)) != len(found):
        raise ProductError(f"{where}: a character occurs twice in characters")
    return found


def _choice(value: Json, where: str) -> _model.Choice:
    members = _members(value, "value names price co2e_mg lead_hours", where)
    price = _integer(members["price"], 0, MAX_PRICE, f"{where}: price")
    co2e_mg, lead_hours = (
        _integer(members[name], least, most, f"{where}: {name}") if name in members else None
        for name, least, most in (("co2e_mg", -_MAX_INTEGER, _MAX_INTEGER), ("lead_hours", 0, _MAX_LEAD_HOURS))
    )
    named = _text(members["value"], f"{where}: value"), _names(members["names"], where)
    return _model.Choice(*named, price, co2e_mg, lead_hours)


def _named(members: Mapping[str, Json], where: str) -> tuple[str, _model.Names]:
    key = _matching(members["key"], _KEY, f"{where}: key", "lower-case letters, digits and underscores")
    return key, _names(members["names"], where)


def _names(value: Json, where: str) -> _model.Names:
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_VALUES:
        raise ProductError(f"{where}: names is not an object of texts by language", hint='such as {"en": "crankshaft"}')
    found = {}
    for language, text in value.items():
        if not _LANGUAGE.fullmatch(language):
            raise ProductError(f"{where}: {language[:20]!a} is not a language", hint="write two letters, such as en")
        found[language] = _text(text, f"{where}: names.{language}")
    return found


def _constraint(value: Json, options: Mapping[str, _model.Option], where: str) -> _model.Constraint:
    if isinstance(value, dict) and "excludes" in value:
        members = _members(value, "excludes", where)
        conditions = _each(
            members["excludes"], where, lambda one, at: _condition(one, options, at), MAX_EXCLUDED, least=2
        )
        return _model.Constraint(conditions, None)
    members = _members(value, "if then", where)
    given = _condition(members["if"], options, f"{where}: if")
    return _model.Constraint((given,), _condition(members["then"], options, f"{where}: then"))


def _condition(value: Json, options: Mapping[str, _model.Option], where: str) -> _model.Condition:
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_OPTIONS:
        raise ProductError(f"{where}: not a condition", hint='such as {"finish": ["polished"]}')
    return {key: _allowed(_known(key, options, where), one, f"{where}: {key}") for key, one in value.items()}


def _known(key: str, options: Mapping[str, _model.Option], where: str) -> _model.Option:
    if key not in options:
        raise ProductError(f"{where}: the product has no option {key[:40]!a}", hint=f"options: {', '.join(options)}")
    return options[key]


def _allowed(option: _model.Option, value: Json, where: str) -> _model.Domain:
    if not isinstance(option, _model.ChoiceOption):
        return _span(value, option.least, option.most, where)
    listed = _each(value, where, _text, MAX_CHOICES, least=1)
    wrong = [one for one in listed if one not in option.values]
    if wrong:
        raise ProductError(f"{where}: {wrong[0]!a} is not a choice", hint=f"choices: {', '.join(option.values)}")
    return _model.ValueSet(_distinct(listed, str, where))


def _step(value: Json, options: Mapping[str, _model.Option], where: str) -> _model.Step:
    members = _members(value, "name need minutes when", where)
    name = _text(members["name"], f"{where}: name")
    if len(name) > _MAX_NAME:
        raise ProductError(f"{where}: the name has more than {_MAX_NAME} characters")
    need = _need(members["need"], options, f"{where}: need")
    minutes = _integer(members["minutes"], 1, _MAX_MINUTES, f"{where}: minutes")
    when = _condition(members["when"], options, f"{where}: when") if "when" in members else None
    return _model.Step(name, need, minutes, when)


def _need(value: Json, options: Mapping[str, _model.Option], where: str) -> _model.Need:
    members = _members(value, "kind values", where)
    values = members["values"]
    if not isinstance(values, dict) or len(values) > MAX_VALUES:
        raise ProductError(f"{where}: values is not an object of at most {MAX_VALUES} members")
    kind = _matching(members["kind"], _NAME, f"{where}: kind", "lower-case letters, digits and hyphens")
    return _model.Need(kind, {key: _needed(key, one, options, where) for key, one in values.items()})


def _needed(key: str, value: Json, options: Mapping[str, _model.Option], where: str) -> int | str | _model.FromOption:
    _matching(key, _KEY, f"{where}: values", "lower-case letters, digits and underscores")
    where = f"{where}: {key}"
    if isinstance(value, str):
        return _text(value, where)
    if not isinstance(value, dict):
        return _integer(value, -_MAX_INTEGER, _MAX_INTEGER, where)
    named = _members(value, "option", where)["option"]
    if not isinstance(named, str):
        raise ProductError(f"{where}: option is not a text")
    # A buyer's own text cannot lie within what a machine declares.
    if isinstance(_known(named, options, where), _model.TextOption):
        raise ProductError(f"{where}: {named} is a text, which no machine declares", hint="name a choice or an integer")
    return _model.FromOption(named)


def _members(value: Json, names: str, where: str) -> dict[str, Json]:
    """The members of an object that has exactly these, but for those that may be left out."""
    if not isinstance(value, dict):
        raise ProductError(f"{where}: not an object with the members {names.replace(' ', ', ')}")
    wanted = names.split()
    unknown = [name for name in value if name not in wanted]
    if unknown:
        raise ProductError(f"{where}: unknown member {unknown[0][:40]!a}", hint=f"members: {', '.join(wanted)}")
    missing = [name for name in wanted if name not in value and name not in _MAY_LACK]
    if missing:
        raise ProductError(f"{where}: the member {missing[0]} is missing")
    return value


def _each(value: Json, where: str, parse: Callable[[Json, str], T], most: int, *, least: int = 0) -> tuple[T, ...]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise ProductError(f"{where}: not a list of {least} to {most} entries")
    return tuple(parse(one, f"{where} {place}") for place, one in enumerate(value, start=1))


def _distinct(found: Sequence[T], name: Callable[[T], str], where: str) -> tuple[T, ...]:
    names = [name(one) for one in found]
    twice = [one for place, one in enumerate(names) if one in names[:place]]
    if twice:
        raise ProductError(f"{where}: {twice[0]!a} occurs twice")
    return tuple(found)


def _span(value: Json, least: int, most: int, where: str) -> _model.Span:
    if not isinstance(value, list) or len(value) != 2:
        raise ProductError(f"{where}: not a list of two numbers, least and most")
    low, high = (_integer(one, least, most, where) for one in value)
    if low > high:
        raise ProductError(f"{where}: {low} is greater than {high}")
    return _model.Span(low, high)


def _integer(value: Json, least: int, most: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ProductError(f"{where}: not a whole number from {least} to {most}")
    return value


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not _model.is_plain(value):
        raise ProductError(f"{where}: not a text of 1 to {MAX_TEXT} printable characters")
    return value


def _matching(value: Json, pattern: re.Pattern[str], where: str, allowed: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ProductError(f"{where}: {str(value)[:40]!a} is not allowed", hint=f"write {allowed}")
    return value
