"""Events for tests: built by name, altered into values that no contract would log, and encoded by eth_abi according to
the contracts' ABI, so that our decoders are compared with independent code."""

from __future__ import annotations

import dataclasses
import functools
from random import Random
from typing import Any, TypeVar

from eth_abi.abi import encode
from hypothesis import strategies as st

from millmark.ledger.chain import load_abi
from millmark.ledger.events import EVENTS, ArrayOf, Event, PackedOf, Struct, Type, Word, struct_of, unsafe_builder
from millmark.ledger.records import Contract, pack, packed_fields

T = TypeVar("T")


def event_of(kind: str, /, **fields: object) -> Event:
    """An event of that name, not validated. Omitted fields are zero."""
    return build(next(found for found in EVENTS if found.__name__ == kind), **fields)


def build(kind: type[T], /, **fields: object) -> T:
    """An event or a struct, not validated. Omitted fields are zero."""
    members = struct_of(kind).members
    assert fields.keys() <= {name for name, _ in members}, f"{kind.__name__} has no such fields: {fields}"
    return unsafe_builder(kind)(
        [_member(member, fields[name]) if name in fields else _zero(member) for name, member in members]
    )


def _member(kind: Type, value: object) -> object:
    """Converts a number to its enumeration's member, if it has one."""
    if isinstance(kind, Word) and kind.enumeration is not None and value in kind.enumeration.__members__.values():
        return kind.enumeration(value)  # type: ignore[arg-type]  # one of its numbers
    return value


def changed(value: T, /, **members: object) -> T:
    """A copy with other values, not validated."""
    fields = dataclasses.fields(value)  # type: ignore[arg-type]  # events and structs are dataclasses
    return unsafe_builder(type(value))([members.get(field.name, getattr(value, field.name)) for field in fields])


def encode_event(event: Event, key: bytes, histories: tuple[bytes, ...] = ()) -> bytes:
    """The data of the contract's log."""
    header = [key] if event.contract is Contract.REGISTRY else [key, list(histories)]
    return encode(_types(event.contract, event.kind), [*header, *plain(event)])


def plain(value: Any) -> Any:
    """The value in the types that eth_abi uses."""
    if dataclasses.is_dataclass(value):
        packed = packed_fields(type(value))  # type: ignore[arg-type]  # a dataclass can be hashed, its instances may not
        members = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return tuple(pack(member) if name in packed else plain(member) for name, member in members)
    return tuple(plain(item) for item in value) if isinstance(value, tuple) else value


@functools.cache
def _types(contract: Contract, kind: str) -> list[str]:
    [entry] = [one for one in load_abi(contract) if one["type"] == "event" and one["name"] == kind]
    return [written(parameter) for parameter in entry["inputs"] if not parameter["indexed"]]


def written(parameter: dict[str, Any]) -> str:
    """The type of an ABI parameter in eth_abi's notation."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(written(part) for part in parameter["components"]) + ")" + kind[5:]


def _zero(kind: Type) -> object:
    if isinstance(kind, Struct):
        return build(kind.kind)
    if isinstance(kind, (ArrayOf, PackedOf)):
        return ()
    if kind.enumeration is not None:
        return kind.enumeration(0)
    if kind.abi == "bool":
        return False
    if kind.abi.startswith("uint"):
        return 0
    return bytes(kind.size)


def logged(kind: Type, *, named: bool = True) -> st.SearchStrategy[Any]:
    """Strategy for values of a type. `named`: only numbers that their enumeration names, like in the contracts'
    logs."""
    if isinstance(kind, Struct):
        members = st.fixed_dictionaries({name: logged(one, named=named) for name, one in kind.members})
        return members.map(lambda found: build(kind.kind, **found))
    if isinstance(kind, ArrayOf):
        return st.lists(logged(kind.item, named=named), max_size=3).map(tuple)
    if isinstance(kind, PackedOf):
        # A word does not say how many zeros are above the last item.
        items = st.lists(logged(kind.item, named=named), max_size=kind.most).map(tuple)
        return items.filter(lambda found: not found or pack(found[-1:]) != 0)
    if kind.enumeration is not None and named:
        return st.sampled_from(list(kind.enumeration))
    if kind.abi == "bool":
        return st.booleans()
    if kind.abi.startswith("uint"):
        return st.integers(0, 2**kind.size - 1)
    return st.binary(min_size=kind.size, max_size=kind.size)


def damage(data: bytes, seed: int) -> bytes:
    """Up to three times a bit flipped, or a byte or word removed or repeated; ends early when nothing is left."""
    rng, damaged = Random(seed), bytearray(data)  # noqa: S311  # hypothesis repeats it
    for _ in range(rng.randrange(1, 4)):
        choice, at = rng.randrange(3), rng.randrange(len(damaged))
        if choice == 0:
            damaged[at] ^= 1 << rng.randrange(8)
        elif choice == 1:
            del damaged[at : at + rng.choice([1, 32])]
        else:
            damaged[at:at] = damaged[at : at + rng.choice([1, 32])]
        if not damaged:
            break
    return bytes(damaged)
