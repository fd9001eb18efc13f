"""Reads planning documents strictly: members that are missing, unknown, of another type or out of range are refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json
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


def read_optional_array(members: Mapping[str, Json], name: str, what: str) -> Sequence[Json]:
    """Return the items of an optional member, none if it is left out. An empty array is refused: leaving the member out
    is the one form for that."""
    if name not in members:
        return ()
    items = read_array(members[name], what)
    if not items:
        raise PlanError(f"{what} are an empty array", hint=f"leave {name!r} out where there are none")
    return items


def read_integers(value: Json, what: str, length: int | None = None) -> tuple[int, ...]:
    return tuple(read_integer(item, f"an item of {what}") for item in read_array(value, what, length))


def check_range(value: int, what: str, low: int, high: int) -> None:
    """Raises PlanError unless `value` is an integer from `low` to `high`."""
    if type(value) is not int or not low <= value <= high:
        raise PlanError(f"{what} is {str(value)[:40]}, and must be an integer from {low} to {high}")


def check_size(value: bytes, what: str, size: int) -> None:
    if len(value) != size:
        raise PlanError(f"{what} has {len(value)} bytes instead of {size}")


def check_text(value: str, what: str, *, low: int = 1, high: int = MAX_TEXT) -> None:
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
