"""Planning documents as declared classes: the annotations of a `Form` say what its JSON has and what of it is refused.

    order: Hash                                            bytes of a size, `0x` and lower-case digits in JSON
    machine: Id                                            a number within limits
    wh: Annotated[Amount, Called("Wh")]                    what messages call it, if not by its name
    origin: Annotated[Id, Called("origin", member="from")] its name in JSON, if it has another
    rows: tuple[Row, ...]                                  an array of forms
    reworked: Annotated[tuple[Row, ...], LEFT_OUT] = ()    left out where it has its default, and only there

Members that are missing, unknown, of another type or out of range are refused; limits also hold for forms that are not
read from JSON. Not msgspec: the vectors pin each refusal's words, so that another implementation can compare them.
"""

from __future__ import annotations

import itertools
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Annotated, Any, ClassVar, Final, NamedTuple, Self, TypeVar

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, to_hex
from millmark.ledger.errors import PlanError

MAX_ID = 2**48 - 1
"""Largest number of a participant, machine or record."""
MAX_AMOUNT = 2**40
"""Largest single price, cost, weight, energy or mass: sums are checked against 2^53 - 1 apart from that."""
MAX_SLOTS = 100_000
MAX_TIME = 2**40
"""Unix seconds."""
MAX_OPERATIONS = 256
"""Operations of one order, as in the contracts."""
MAX_JOBS = 10_000
MAX_OFFERS = 200_000
MAX_TEXT = 200
"""Characters."""

T = TypeVar("T")
_HEX = re.compile("0x(?:[0-9a-f]{2})*")


def read_object(value: Json, what: str, names: Iterable[str], optional: Iterable[str] = ()) -> Mapping[str, Json]:
    """Return `value` if it is an object with exactly the members `names`, and perhaps some of those `optional`. Raises
    PlanError."""
    if not isinstance(value, Mapping):
        raise PlanError(f"{what} is not a JSON object")
    expected = frozenset(names)
    if unknown := sorted(value.keys() - expected - frozenset(optional)):
        raise PlanError(f"{what} has the unknown member {unknown[0][:60]!a}", hint="see PLANS.md")
    if missing := sorted(expected - value.keys()):
        raise PlanError(f"{what} lacks the member {missing[0]!r}", hint="see PLANS.md")
    return value


def read_document(
    value: Json, what: str, name: str, names: Iterable[str], optional: Iterable[str] = ()
) -> Mapping[str, Json]:
    """Like `read_object`, for a document of format `name`, version 1; `names` are its further members."""
    if not isinstance(value, Mapping) or value.get("format") != name:
        raise PlanError(f"not {what}", hint=f'its member "format" must be {name!r}')
    members = read_object(value, what, ("format", "version", *names), optional)
    if members["version"] != 1 or type(members["version"]) is not int:
        raise PlanError(f"{what} is of a version other than 1", hint="use a version of Millmark that knows it")
    return members


def read_integer(value: Json, what: str) -> int:
    """Return `value` if it is an integer of canonical JSON; ranges are checked where a document is built."""
    if type(value) is not int:
        raise PlanError(f"{what} is not an integer")
    return value


def read_text(value: Json, what: str) -> str:
    if not isinstance(value, str):
        raise PlanError(f"{what} is not text")
    return value


def read_bytes(value: Json, what: str) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise PlanError(f"{what} is not bytes in hexadecimal", hint="write 0x and lower-case digits")
    return bytes.fromhex(value[2:])


def read_array(value: Json, what: str, length: int | None = None) -> Sequence[Json]:
    """Return `value` if it is an array, of `length` items if given."""
    if not isinstance(value, (list, tuple)):
        raise PlanError(f"{what} is not an array")
    if length is not None and len(value) != length:
        raise PlanError(f"{what} has {len(value)} items instead of {length}")
    return value


def check_range(value: int, what: str, low: int, high: int) -> None:
    """Raises PlanError unless `value` is an integer from `low` to `high`."""
    if type(value) is not int or not low <= value <= high:
        raise PlanError(f"{what} is {str(value)[:40]}, and must be an integer from {low} to {high}")


def check_size(value: bytes, what: str, size: int) -> None:
    if len(value) != size:
        raise PlanError(f"{what} has {len(value)} bytes instead of {size}")


def check_text(value: str, what: str, low: int = 1, high: int = MAX_TEXT) -> None:
    if not low <= len(value) <= high or not value.isprintable():
        raise PlanError(f"{what} must be {low} to {high} printable characters")


def check_ascending(values: Sequence[T], what: str) -> None:
    """Raises PlanError unless each value is above the one before: a set has one form only."""
    if any(not first < second for first, second in itertools.pairwise(values)):  # type: ignore[operator]
        raise PlanError(f"{what} must be strictly ascending", hint="sort them, each once")


def check_count(values: Sequence[object], what: str, low: int, high: int) -> None:
    if not low <= len(values) <= high:
        raise PlanError(f"{what}: {len(values)} of them, and there must be {low} to {high}")


def check_sum(value: int, what: str) -> None:
    """Raises PlanError when a JSON reader could not represent `value`."""
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise PlanError(f"{what} is beyond 2^53 - 1", hint="use a larger unit of money")


# What annotations say


class Between(NamedTuple):
    """Limits of an integer, both included."""

    low: int
    high: int

    def check(self, value: int, what: str) -> None:
        check_range(value, what, self.low, self.high)


class Size(NamedTuple):
    """Number of bytes."""

    size: int

    def check(self, value: bytes, what: str) -> None:
        check_size(value, what, self.size)


class Characters(NamedTuple):
    """Limits of the length of a text."""

    low: int
    high: int

    def check(self, value: str, what: str) -> None:
        check_text(value, what, self.low, self.high)


class Called(NamedTuple):
    """Name of a member in messages: `Wh` is "the Wh of a row". One that begins with an article is whole as it is."""

    word: str
    member: str = ""
    """Name in JSON, if it is not the attribute's."""


class By(NamedTuple):
    """The functions that read and write what has a form of its own in JSON."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Json]


LEFT_OUT: Final = object()
"""Marks a member that is left out where it has its default: that is its one form."""

Id = Annotated[int, Between(1, MAX_ID)]
Amount = Annotated[int, Between(0, MAX_AMOUNT)]
Time = Annotated[int, Between(0, MAX_TIME)]
Slot = Annotated[int, Between(0, MAX_SLOTS)]
OperationNumber = Annotated[int, Between(0, MAX_OPERATIONS - 1)]
Hash = Annotated[bytes, Size(32)]
Address = Annotated[bytes, Size(20)]
Text = Annotated[str, Characters(1, MAX_TEXT)]
Count = Annotated[int, Between(0, MAX_SAFE_INTEGER)]


class _Kind(NamedTuple):
    """How the values of an annotation are read from JSON, checked and written. The texts name them in messages."""

    read: Callable[[Json, str], Any]
    check: Callable[[Any, str], object] | None
    write: Callable[[Any], Json]


class _Member(NamedTuple):
    name: str
    member: str
    what: str
    kind: _Kind
    left_out: bool
    default: Any


class _Shape(NamedTuple):
    members: Sequence[_Member]
    names: frozenset[str]
    optional: frozenset[str]
    checks: Sequence[tuple[str, Callable[[Any, str], object], str]]
    """The members with limits: attribute, check and name in messages."""


class Form:
    """A document, or a part of one. Subclasses are frozen dataclasses; `verify` has the rules between members."""

    __slots__ = ()
    WHAT: ClassVar[str]
    """Its name in messages: `a row`."""
    FORMAT: ClassVar[str] = ""
    """Value of the member `format` of a document; a part has none."""
    ARRAY: ClassVar[bool] = False
    """Whether it stands in another one as an array of its members' values, in their order."""

    def __post_init__(self) -> None:
        for name, check, what in _shape(type(self)).checks:
            if (value := getattr(self, name)) is not None:
                check(value, what)
        self.verify()

    def verify(self) -> None:
        """Raises PlanError for members that do not go together."""

    @classmethod
    def parse(cls, value: Json) -> Self:
        """Build one from its JSON. Raises PlanError."""
        members, names, optional, _ = _shape(cls)
        found = (
            read_document(value, cls.WHAT, cls.FORMAT, names, optional)
            if cls.FORMAT
            else read_object(value, cls.WHAT, names, optional)
        )
        made = {one.name: one.kind.read(found[one.member], one.what) for one in members if one.member in found}
        for one in members if len(names) < len(found) else ():
            if one.left_out and one.name in made and made[one.name] == one.default:
                if made[one.name] == ():
                    hint = f"leave {one.member!r} out where there are none"
                    raise PlanError(f"{one.what} are an empty array", hint=hint)
                check_range(made[one.name], one.what, 1, MAX_SAFE_INTEGER)
        return cls(**made)

    def to_json(self) -> dict[str, Json]:
        shown: dict[str, Json] = {"format": self.FORMAT, "version": 1} if self.FORMAT else {}
        for one in _shape(type(self)).members:
            value = getattr(self, one.name)
            if not one.left_out or value != one.default:
                shown[one.member] = one.kind.write(value)
        return shown


_SHAPES: Final[dict[type[Form], _Shape]] = {}
"""Each is made when it is first needed: annotations may name what stands below them."""


def _shape(cls: type[Form]) -> _Shape:
    return _SHAPES.get(cls) or _SHAPES.setdefault(cls, _read_shape(cls))


def _read_shape(cls: Any) -> _Shape:
    hints = typing.get_type_hints(cls, include_extras=True)
    found = []
    for field in fields(cls):
        if field.init:
            hint, default = hints[field.name], None if field.default is MISSING else field.default
            word, member = _called(hint) or Called(field.name.replace("_", " "))
            what = word if word.startswith(("the ", "a ", "an ")) else f"the {word} of {cls.WHAT}"
            left_out = LEFT_OUT in getattr(hint, "__metadata__", ())
            found.append(_Member(field.name, member or field.name, what, _kind_of(hint), left_out, default))
    names, optional = ({one.member for one in found if one.left_out is is_out} for is_out in (False, True))
    checks = [(one.name, one.kind.check, one.what) for one in found if one.kind.check is not None]
    return _Shape(found, frozenset(names), frozenset(optional), checks)


def _called(hint: Any) -> Called | None:
    return next((one for one in reversed(getattr(hint, "__metadata__", ())) if isinstance(one, Called)), None)


def _kind_of(hint: Any) -> _Kind:
    if typing.get_origin(hint) is Annotated:
        by = next((one for one in hint.__metadata__ if isinstance(one, By)), None)
        kind = _kind_of(hint.__origin__) if by is None else _Kind(lambda value, _: by.read(value), None, by.write)
        limits = (one for one in reversed(hint.__metadata__) if isinstance(one, Between | Size | Characters))
        return next((kind._replace(check=one.check) for one in limits), kind)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return _choice_of(*typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return _array_of(*typing.get_args(hint))
    if hint in _PLAIN:
        return _PLAIN[hint]
    if not getattr(hint, "ARRAY", False):
        return _Kind(lambda value, _: hint.parse(value), None, lambda value: value.to_json())
    names = [one.member for one in _shape(hint).members]
    return _Kind(
        lambda value, what: hint.parse(dict(zip(names, read_array(value, what, len(names)), strict=True))),
        None,
        lambda value: list(value.to_json().values()),
    )


_PLAIN: Final[Mapping[Any, _Kind]] = {
    int: _Kind(read_integer, None, lambda value: value),
    str: _Kind(read_text, None, lambda value: value),
    bytes: _Kind(read_bytes, None, to_hex),
}


def _choice_of(first: Any, second: Any) -> _Kind:
    """A value or none, or one of two documents."""
    kind = _kind_of(first)
    if second is not types.NoneType:
        return kind._replace(
            read=lambda value, _: (
                second if isinstance(value, Mapping) and value.get("format") == second.FORMAT else first
            ).parse(value)
        )
    return _Kind(
        lambda value, what: None if value is None else kind.read(value, what),
        kind.check,
        lambda value: None if value is None else kind.write(value),
    )


def _array_of(*hints: Any) -> _Kind:
    """Any number of items of one kind, or one item of each."""
    items = [(_kind_of(one), called.word if (called := _called(one)) else "") for one in hints if one is not Ellipsis]
    if hints[-1] is Ellipsis:
        [(one, word)] = items
        check = one.check
        return _Kind(
            lambda value, what: tuple(_each(one.read, read_array(value, what), word or f"an item of {what}")),
            None if check is None else lambda value, what: _each(check, value, word or f"one of {what}"),
            lambda value: [one.write(item) for item in value],
        )

    def read(value: Json, what: str) -> tuple[Any, ...]:
        found = zip(read_array(value, what, len(items)), items, strict=True)
        return tuple([kind.read(item, word or f"an item of {what}") for item, (kind, word) in found])

    def check_all(value: Any, what: str) -> None:
        for item, (kind, word) in zip(value, items, strict=True):
            if kind.check is not None:
                kind.check(item, word or f"one of {what}")

    def write(value: Any) -> Json:
        return [kind.write(item) for item, (kind, _) in zip(value, items, strict=True)]

    return _Kind(read, check_all if any(kind.check for kind, _ in items) else None, write)


def _each(act: Callable[[Any, str], Any], values: Iterable[Any], what: str) -> list[Any]:
    return [act(one, what) for one in values]
