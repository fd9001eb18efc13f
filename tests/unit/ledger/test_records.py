"""Records against the contracts' interfaces: nothing is missing, nothing is spelt otherwise, nothing is coerced."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger import records
from millmark.ledger.chain import call_data, load_abi
from millmark.ledger.errors import RecordError
from millmark.ledger.events import find_event
from millmark.ledger.records import RECORD_TYPES, Contract, Packed, Record, snake_case
from tests.support.event_data import plain, written

SOLIDITY = Path(__file__).parents[3] / "contracts" / "src"
ADMINISTRATION = {"renounceOwnership", "multicall"}
"""What is not a record: what always reverts, and the envelope of many records."""
ENUMS: tuple[type[enum.IntEnum], ...] = (
    records.ModelState,
    records.OrderState,
    records.AssignmentState,
    records.LotState,
    records.Disposition,
    records.TransformationKind,
    records.Verdict,
    records.CertificateState,
    records.CertificateStatus,
)
Entry = Mapping[str, Any]


@cache
def functions(contract: Contract) -> dict[str, Entry]:
    return {
        entry["name"]: entry
        for entry in load_abi(contract)
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }


def function_of(kind: type[Record]) -> Entry:
    return functions(kind.contract)[kind.__name__[0].lower() + kind.__name__[1:]]


def hints_of(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def verify_type(hint: Any, parameter: Entry) -> None:
    """A field's annotation is what the ABI says of the argument."""
    kind = str(parameter["type"])
    if kind.endswith("[]"):
        assert get_origin(hint) is tuple
        assert get_args(hint)[1] is ...
        verify_type(get_args(hint)[0], {**parameter, "type": kind[:-2]})
    elif kind == "tuple":
        fields = hints_of(hint)
        assert list(fields) == [snake_case(part["name"]) for part in parameter["components"]]
        for part in parameter["components"]:
            verify_type(fields[snake_case(part["name"])], part)
    elif isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        assert kind == "uint8"
        assert parameter["internalType"].split(".")[-1] == hint.__name__
    elif get_origin(hint) is Annotated and isinstance(get_args(hint)[1], Packed):
        assert kind == "uint256"
        assert sum(get_args(part)[1] for part in hints_of(records.Gate).values()) * get_args(hint)[1].most <= 256
    elif kind in ("bytes", "bool"):
        assert hint is {"bytes": bytes, "bool": bool}[kind]
    elif kind.startswith("int"):
        base, size, *_ = get_args(hint)
        assert (base, f"int{size.bits}") == (int, kind)
    else:
        expected = {"address": (bytes, 20)}.get(kind) or (
            bytes if kind.startswith("bytes") else int,
            int(re.sub(r"\D", "", kind)),
        )
        assert get_args(hint)[:2] == expected


@pytest.mark.parametrize("contract", Contract)
def test_every_state_change_is_one_record(contract: Contract) -> None:
    names = [kind.__name__[0].lower() + kind.__name__[1:] for kind in RECORD_TYPES if kind.contract is contract]
    assert sorted(names) == sorted(functions(contract).keys() - ADMINISTRATION)


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.__name__)
def test_fields_are_the_arguments(kind: type[Record]) -> None:
    inputs = function_of(kind)["inputs"]
    fields = hints_of(kind)
    assert list(fields) == [snake_case(parameter["name"]) for parameter in inputs]
    for parameter in inputs:
        verify_type(fields[snake_case(parameter["name"])], parameter)


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.__name__)
def test_event_exists(kind: type[Record]) -> None:
    [event] = [e for e in load_abi(kind.contract) if e["type"] == "event" and e["name"] == kind.event]
    shape = [(parameter["name"], parameter["indexed"]) for parameter in event["inputs"][:3]]
    assert shape == [("sequence", True), ("participant", True), ("subject", True)]
    assert find_event(kind.contract, kind.event) is not None


@pytest.mark.parametrize("contract", Contract)
def test_every_record_event_comes_of_one_record(contract: Contract) -> None:
    """A key is added by its first admission, too, so its event is the one of acceptance. Lots are unpacked by their
    custodian, and by whoever might reclaim them."""
    events = {e["name"] for e in load_abi(contract) if e["type"] == "event" and e["inputs"][0]["name"] == "sequence"}
    kinds = [kind for kind in RECORD_TYPES if kind.contract is contract and kind is not records.UnpackReclaimable]
    other = [kind.or_event for kind in kinds if kind.or_event is not None]
    assert sorted([*(kind.event for kind in kinds), *other]) == sorted(events)
    assert records.UnpackReclaimable.event == records.UnpackLots.event


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_enums_are_those_of_the_interfaces(kind: type[enum.IntEnum]) -> None:
    text = "\n".join(path.read_text() for path in sorted((SOLIDITY / "interfaces").glob("*.sol")))
    [body] = re.findall(rf"enum {kind.__name__} \{{(.*?)\}}", text, re.DOTALL)
    names = re.findall(r"\w+", re.sub(r"//.*", "", body))
    assert [(member.name, member.value) for member in kind] == [
        (snake_case(name).upper(), number) for number, name in enumerate(names)
    ]


def test_no_enum_of_the_interfaces_is_missing() -> None:
    text = "\n".join(path.read_text() for path in sorted((SOLIDITY / "interfaces").glob("*.sol")))
    assert set(re.findall(r"enum (\w+) \{", text)) == {kind.__name__ for kind in ENUMS}


def test_the_mask_of_all_roles_has_each() -> None:
    assert all(role in records.ALL_ROLES for role in records.Role)
    assert 2 ** len(records.Role) - 1 == records.ALL_ROLES


def test_roles_are_those_of_the_library() -> None:
    text = (SOLIDITY / "libraries" / "Roles.sol").read_text()
    found = {name: int(value) for name, value in re.findall(r"(\w+) = (\d+);", text)}
    assert {role.name: role.value for role in records.Role} == found


# What fits and what does not


def ends(size: Any) -> tuple[int, int]:
    """Least and greatest number of a type."""
    if isinstance(size, int):
        return 0, (1 << size) - 1
    return -(1 << size.bits - 1), (1 << size.bits - 1) - 1


@cache  # hypothesis takes longer to validate a new strategy than to draw from one
def fitting(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) is Annotated:
        base, size, *_ = get_args(hint)
        if isinstance(size, Packed):
            return st.lists(fitting(get_args(base)[0]), max_size=size.most).map(tuple)
        return st.integers(*ends(size)) if base is int else st.binary(min_size=size, max_size=size)
    if hint is bytes:
        return st.binary(max_size=100)
    if hint is bool:
        return st.booleans()
    if get_origin(hint) is tuple:
        return st.lists(fitting(get_args(hint)[0]), max_size=3).map(tuple)
    if hint is bool:
        return st.booleans()
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(list(hint))
    return st.builds(hint, **{name: fitting(part) for name, part in hints_of(hint).items()})


def readable(value: Any, parameter: Entry) -> Any:
    """What eth_abi decoded, addresses as bytes."""
    kind = str(parameter["type"])
    if kind.endswith("[]"):
        return tuple(readable(item, {**parameter, "type": kind[:-2]}) for item in value)
    if kind == "tuple":
        return tuple(readable(item, part) for item, part in zip(value, parameter["components"], strict=True))
    return bytes.fromhex(value[2:]) if kind == "address" else value


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_what_a_record_accepts_survives_the_abi(kind: type[Record], data: st.DataObject) -> None:
    record = data.draw(fitting(kind))  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
    inputs = function_of(kind)["inputs"]
    types = [written(parameter) for parameter in inputs]
    selector = keccak(text=f"{function_of(kind)['name']}({','.join(types)})")[:4]
    made = call_data(record)
    assert made == selector + encode(types, plain(record))
    decoded = zip(decode(types, made[4:]), inputs, strict=True)
    assert tuple(readable(value, parameter) for value, parameter in decoded) == plain(record)


def unfitting(hint: Any) -> list[Any]:
    if get_origin(hint) is Annotated:
        base, size, *_ = get_args(hint)
        if isinstance(size, Packed):
            return [*unfitting(base), (records.Gate(1),) * (size.most + 1)]
        if base is int:
            least, most = ends(size)
            return [True, False, least - 1, most + 1, 1.0, "1", None, b"\1"]
        return [b"", bytes(size - 1), bytes(size + 1), bytearray(size), "0x" + "00" * size, None, 0]
    if hint is bytes:
        return [None, 0, "", bytearray(2), (), True]
    if hint is bool:
        return [0, 1, None, "true", b"\1"]
    if get_origin(hint) is tuple:
        return [[], None, b"", "ab", (None,), *[(wrong,) for wrong in unfitting(get_args(hint)[0])]]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return [0, 1, 99, "PASS", None, True]
    if hint is bool:
        return [0, 1, None, "true", b"\1"]
    return [None, (), {}, 1, "x"]


SHAPES: list[type] = [
    *RECORD_TYPES,
    *(records.Gate, records.OrderTerms, records.Input, records.Output, records.Transformation, records.Rework),
    *(records.Item, records.Statement, records.Issued, records.Inference),
]


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)
def test_each_field_refuses_what_does_not_fit(kind: type) -> None:
    hints = hints_of(kind)
    good = {name: example(hint) for name, hint in hints.items()}
    kind(**good)
    for name, hint in hints.items():
        for wrong in unfitting(hint):
            with pytest.raises(RecordError, match=rf"^{kind.__name__}\.{name} cannot be ") as caught:
                kind(**{**good, name: wrong})
            assert caught.value.hint.startswith("give ")
            assert "\n" not in str(caught.value)


def example(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        base, size, *_ = get_args(hint)
        if isinstance(size, Packed):
            return example(base)
        return 1 if base is int else bytes(size)
    if get_origin(hint) is tuple:
        return (example(get_args(hint)[0]),)
    if hint is bytes:
        return b"\1\2"
    if hint is bool:
        return True
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    return hint(**{name: example(part) for name, part in hints_of(hint).items()})


@pytest.mark.parametrize("bits", [16, 32, 40])
def test_numbers_reach_to_their_ends(bits: int) -> None:
    hint = {16: records.U16, 32: records.U32, 40: records.U40}[bits]
    kind = next(kind for kind in RECORD_TYPES if hint in hints_of(kind).values())
    name = next(name for name, found in hints_of(kind).items() if found == hint)
    good = {field: example(found) for field, found in hints_of(kind).items()}
    for end in (0, (1 << bits) - 1):
        assert getattr(kind(**{**good, name: end}), name) == end


def test_records_are_frozen_and_compare_by_value() -> None:
    record = records.Anchor(bytes(32), 1, bytes(32))
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.size = 2  # type: ignore[misc]
    assert record == records.Anchor(bytes(32), 1, bytes(32))
    assert len({record, records.Anchor(bytes(32), 1, bytes(32))}) == 1
    assert not hasattr(record, "__dict__")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claimsRoot", "claims_root"),
        ("PlaceOrder", "place_order"),
        ("to", "to"),
        ("yieldIn", "yield_in"),
        ("InProduction", "in_production"),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected
