"""What an event's data are in the ABI, derived from the annotations of its declaration, once for each class."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ParamSpec, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from ledger.records import Names

__all__ = ["ArrayOf", "Struct", "Type", "Word", "abi_type", "once", "paths_to", "struct_of", "unsafe_builder"]

P = ParamSpec("P")
T = TypeVar("T")
_ADDRESS_BYTES = 20


@dataclass(frozen=True, slots=True)
class Word:
    """An elementary type, 32 bytes in the data."""

    abi: str
    """uintN, bytesN, bool or address."""
    size: int
    """Bits of a number, bytes of bytes."""
    enumeration: type[enum.IntEnum] | None = None
    """What a uint8 counts."""
    names: Names | None = None


@dataclass(frozen=True, slots=True)
class Struct:
    """Members in order; the class that holds them."""

    kind: type
    members: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """A dynamic array; its items are never dynamic themselves in what the contracts log."""

    item: Type


Type: TypeAlias = "Word | Struct | ArrayOf"


def once(function: Callable[P, T]) -> Callable[P, T]:
    """Remembers what follows from a class. It is functools.cache, whose arguments mypy takes for unhashable here: it
    judges a class by its instances' hash."""
    return cast("Callable[P, T]", functools.cache(function))


@once
def struct_of(kind: type) -> Struct:
    """The members of a dataclass, by its annotations."""
    hints = get_type_hints(kind, include_extras=True)
    return Struct(kind, tuple((field.name, _type_of(hints[field.name])) for field in dataclasses.fields(kind)))


def _type_of(hint: Any) -> Type:
    if get_origin(hint) is Annotated:
        base, size, *names = get_args(hint)
        of_bytes = "address" if size == _ADDRESS_BYTES else f"bytes{size}"
        return Word(f"uint{size}" if base is int else of_bytes, size, names=names[0] if names else None)
    if get_origin(hint) is tuple:
        return ArrayOf(_type_of(get_args(hint)[0]))
    if hint is bool:
        return Word("bool", 1)
    return Word("uint8", 8, enumeration=hint) if issubclass(hint, enum.IntEnum) else struct_of(hint)


def abi_type(kind: Type) -> str:
    """As a signature has it, enumerations as uint8."""
    if isinstance(kind, Word):
        return kind.abi
    if isinstance(kind, ArrayOf):
        return abi_type(kind.item) + "[]"
    return "(" + ",".join(abi_type(member) for _, member in kind.members) + ")"


@once
def paths_to(kind: type, what: Names) -> tuple[tuple[str, ...], ...]:
    """Where a declaration names such things, in the order of the data; through arrays to each of their items."""
    return tuple(_paths(struct_of(kind), what))


def _paths(kind: Type, what: Names) -> Iterator[tuple[str, ...]]:
    if isinstance(kind, Word):
        if kind.names is what:
            yield ()
    elif isinstance(kind, ArrayOf):
        yield from _paths(kind.item, what)
    else:
        for name, member in kind.members:
            for path in _paths(member, what):
                yield (name, *path)


@once
def unsafe_builder(kind: type[T]) -> Callable[[Sequence[object]], T]:
    """What makes an event or struct of values that the caller has checked, in the order of its fields. Checking each of
    them again would cost more than decoding them."""
    setters = tuple(vars(kind)[field.name].__set__ for field in dataclasses.fields(kind))  # type: ignore[arg-type]  # one
    new = object.__new__

    def build(values: Sequence[object]) -> T:
        made = new(kind)
        for put, value in zip(setters, values, strict=True):
            put(made, value)
        return made

    return build
