"""The ABI types of an event's data, derived from the annotations of its declaration, once per class."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ParamSpec, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from millmark.ledger.records import Names, Packed

P = ParamSpec("P")
T = TypeVar("T")
_ADDRESS_BYTES = 20


@dataclass(frozen=True, slots=True)
class Word:
    """An elementary type, which takes 32 bytes in the data."""

    abi: str
    """uintN, bytesN, bool or address."""
    size: int
    """Number of bits of a number, of bytes otherwise."""
    enumeration: type[enum.IntEnum] | None = None
    """The enumeration of which a uint8 is a value."""
    names: Names | None = None
    """The kind of thing to which the value refers."""


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct."""

    kind: type
    """The dataclass with its members."""
    members: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """A dynamic array. Its items are of fixed size, as in all events of the contracts."""

    item: Type


@dataclass(frozen=True, slots=True)
class PackedOf:
    """A list of structs in one word, see `Packed`. Here, and in JSON, it is a list."""

    item: Struct
    most: int
    abi: str = "uint256"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of bits of each member of an item."""
        return tuple(cast(Word, member).size for _, member in self.item.members)


Type: TypeAlias = "Word | Struct | ArrayOf | PackedOf"


def once(function: Callable[P, T]) -> Callable[P, T]:
    """Cache a function of a class: functools.cache with a type that mypy accepts.

    mypy wrongly treats a class as unhashable if its instances are.
    """
    return cast("Callable[P, T]", functools.cache(function))


@once
def struct_of(kind: type) -> Struct:
    """The struct of a dataclass, from its annotations."""
    hints = get_type_hints(kind, include_extras=True)
    return Struct(kind, tuple((field.name, _type_of(hints[field.name])) for field in dataclasses.fields(kind)))


def _type_of(hint: Any) -> Type:
    if get_origin(hint) is Annotated:
        base, size, *names = get_args(hint)
        if isinstance(size, Packed):
            return PackedOf(struct_of(get_args(base)[0]), size.most)
        of_bytes = "address" if size == _ADDRESS_BYTES else f"bytes{size}"
        return Word(f"uint{size}" if base is int else of_bytes, size, names=names[0] if names else None)
    if get_origin(hint) is tuple:
        return ArrayOf(_type_of(get_args(hint)[0]))
    if hint is bool:
        return Word("bool", 1)
    return Word("uint8", 8, enumeration=hint) if issubclass(hint, enum.IntEnum) else struct_of(hint)


def abi_type(kind: Type) -> str:
    """The type's name in a signature, enumerations as uint8."""
    if isinstance(kind, (Word, PackedOf)):
        return kind.abi
    if isinstance(kind, ArrayOf):
        return abi_type(kind.item) + "[]"
    return "(" + ",".join(abi_type(member) for _, member in kind.members) + ")"


@once
def paths_to(kind: type, what: Names) -> tuple[tuple[str, ...], ...]:
    """The paths of a declaration's fields that refer to things of one kind, in the order of the data.

    A path through an array stands for each of its items.
    """
    return tuple(_paths(struct_of(kind), what))


def has_array(kind: Type, path: tuple[str, ...]) -> bool:
    """Whether a path leads through an array."""
    for name in path:
        if isinstance(kind, (ArrayOf, PackedOf)):
            return True
        kind = next(member for own, member in cast(Struct, kind).members if own == name)
    return isinstance(kind, (ArrayOf, PackedOf))


def _paths(kind: Type, what: Names) -> Iterator[tuple[str, ...]]:
    if isinstance(kind, Word):
        if kind.names is what:
            yield ()
    elif isinstance(kind, (ArrayOf, PackedOf)):
        yield from _paths(kind.item, what)
    else:
        for name, member in kind.members:
            for path in _paths(member, what):
                yield (name, *path)


@once
def unsafe_builder(kind: type[T]) -> Callable[[Sequence[object]], T]:
    """A function that builds an event or struct from values in the order of its fields, without checking them.

    The caller must have checked them: checking again at construction would take longer than decoding.
    """
    # `__init__` of a frozen dataclass cannot be used, as it runs `__post_init__`; its slots are set directly instead.
    setters = tuple(vars(kind)[field.name].__set__ for field in dataclasses.fields(kind))  # type: ignore[arg-type]  # one
    new = object.__new__

    def build(values: Sequence[object]) -> T:
        made = new(kind)
        for put, value in zip(setters, values, strict=True):
            put(made, value)
        return made

    return build
