"""How large and how small each member of a planning document may be: the last value that is taken, and the next one.

The numbers are those of PLANS.md and stand here once more, so that none of them moves without a test that fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.errors import PlanError
from millmark.ledger.plans.call import Call, Capability, Choices, Job, Need, Objective, Operation, Range, Transport
from millmark.ledger.plans.file import Machine, PlanFile, PlanPart, build_part, parse_plan_file
from millmark.ledger.plans.offer import Anchored, Offer, OfferWithdrawal, OpenedOffer
from millmark.ledger.plans.plan import Bound, Cause, CauseKind, Cost, Leg, Plan, Row
from tests.support.plan_world import made_file

_ID, _AMOUNT, _SLOTS, _TIME, _SAFE = 2**48 - 1, 2**40, 100_000, 2**40, 2**53 - 1
WORD = bytes(32)
ROW = Row(WORD, 0, WORD, 1, 1, 0, 1, 0, 0, 0)
CAUSE = Cause(CauseKind.LATE, "", record=0)
COST = Cost(0, 0, 0, 0)
JOB = Job(WORD, WORD, 0, 0, (Operation(0, Need("turning")),))
CALL = Call(1, bytes(20), 1, WORD, 0, 1, 1, 0, "EUR", (), WORD, (JOB,))
OFFER = Offer(WORD, 1, 1, WORD, 0, 1, 0, "", ((0, 0, 0),), 0, 0, 0)
PLAN = Plan(WORD, (), WORD, (), (), COST, Bound(0, ()))
PART = PlanPart(WORD, WORD, 1, (), (), WORD, (), (), 0, Bound(0, ()))
OBJECTIVE = Objective(WORD, (), (), (), 0)

RANGES: tuple[tuple[Any, str, int, int], ...] = (
    (CALL, "chain_id", 1, _SAFE),
    (CALL, "coordinator", 1, _ID),
    (CALL, "origin", 0, _TIME),
    (CALL, "slot", 1, 31 * 86_400),
    (CALL, "slots", 1, _SLOTS),
    (CALL, "closes", 0, _TIME),
    (JOB, "release", 0, _SLOTS),
    (JOB, "due", -_SLOTS, 2 * _SLOTS),
    (Transport(1, 5, 0, 0, 0), "origin", 1, _ID),
    (Transport(5, 1, 0, 0, 0), "destination", 1, _ID),
    (Transport(1, 2, 0, 0, 0), "slots", 0, _SLOTS),
    (Transport(1, 2, 0, 0, 0), "cost", 0, _AMOUNT),
    (Transport(1, 2, 0, 0, 0), "carrier", 0, _ID),
    (OBJECTIVE, "carbon_price", 0, _AMOUNT),
    (OFFER, "owner", 1, _ID),
    (OFFER, "machine", 1, _ID),
    (OFFER, "operation", 0, 255),
    (OFFER, "duration", 1, _SLOTS),
    (OFFER, "setup", 0, _SLOTS),
    (OFFER, "wh", 0, _AMOUNT),
    (OFFER, "co2e_mg", 0, _AMOUNT),
    (OFFER, "until", 0, _TIME),
    (Anchored(WORD, 0, 1, WORD, (), 0, 0), "size", 1, _ID),
    (Anchored(WORD, 0, 7, WORD, (), 0, 0), "leaf_index", 0, 6),
    (Anchored(WORD, 0, 1, WORD, (), 0, 0), "record", 0, _ID),
    (Anchored(WORD, 0, 1, WORD, (), 0, 0), "time", 0, _TIME),
    (CAUSE, "record", 0, _ID),
    (Cause(CauseKind.LATE, "", WORD, 0), "leaf", 0, _ID),
    (ROW, "operation", 0, 255),
    (ROW, "machine", 1, _ID),
    (ROW, "owner", 1, _ID),
    (replace(ROW, end=2 * _SLOTS), "start", 0, _SLOTS),
    (replace(ROW, start=5, end=6), "end", 6, 2 * _SLOTS),
    (ROW, "price", 0, _AMOUNT),
    (ROW, "wh", 0, _AMOUNT),
    (ROW, "co2e_mg", 0, _AMOUNT),
    (Leg(WORD, 0, 1, 2, 0, 0, 0, 0), "after", 0, 255),
    (Leg(WORD, 0, 1, 2, 0, 0, 0, 0), "origin", 1, _ID),
    (Leg(WORD, 0, 1, 2, 0, 0, 0, 0), "destination", 1, _ID),
    (Leg(WORD, 0, 1, 2, 0, 0, 0, 0), "carrier", 0, _ID),
    (Leg(WORD, 0, 1, 2, 0, 0, 4 * _SLOTS, 0), "start", 0, 2 * _SLOTS),
    (Leg(WORD, 0, 1, 2, 0, 5, 5, 0), "end", 5, 4 * _SLOTS),
    (Leg(WORD, 0, 1, 2, 0, 0, 0, 0), "cost", 0, _AMOUNT),
    *((COST, name, 0, _SAFE) for name in ("price", "transport", "tardiness", "carbon", "spent")),
    (Bound(0, ()), "value", -_SAFE, _SAFE),
    (replace(PLAN, before=WORD, cause=CAUSE), "now", 0, _SLOTS),
    (PART, "participant", 1, _ID),
    (PART, "total", 0, _SAFE),
    (replace(PART, before=WORD, cause=CAUSE, total=9), "spent", 0, 9),
    (Machine(1, 1, ()), "machine", 1, _ID),
    (Machine(1, 1, ()), "owner", 1, _ID),
    (Range(-_SAFE, 0), "high", -_SAFE, _SAFE),
    (Range(0, 5), "low", -_SAFE, 5),
)
SIZES: tuple[tuple[Any, str, int], ...] = (
    (CALL, "ledger", 20),
    (CALL, "salt", 32),
    (CALL, "objective", 32),
    (JOB, "order", 32),
    (JOB, "revision", 32),
    (OBJECTIVE, "salt", 32),
    (OFFER, "call", 32),
    (OFFER, "order", 32),
    (OfferWithdrawal(WORD, WORD), "call", 32),
    (OfferWithdrawal(WORD, WORD), "offer", 32),
    (Anchored(WORD, 0, 1, WORD, (), 0, 0), "stream", 32),
    (Anchored(WORD, 0, 1, WORD, (), 0, 0), "root", 32),
    (OpenedOffer(OFFER, WORD), "salt", 32),
    (Cause(CauseKind.LATE, "", WORD, 0), "stream", 32),
    (ROW, "order", 32),
    (ROW, "offer", 32),
    (Leg(WORD, 0, 1, 2, 0, 0, 0, 0), "order", 32),
    (PLAN, "call", 32),
    (PLAN, "tie", 32),
    (replace(PLAN, before=WORD, cause=CAUSE), "before", 32),
    (PART, "plan", 32),
    (PART, "call", 32),
    (PART, "tie", 32),
)
TEXTS: tuple[tuple[Any, str, int], ...] = (
    (CALL, "unit", 1),
    (OFFER, "family", 0),
    (CAUSE, "text", 0),
    (Need("turning"), "kind", 1),
    (Capability("turning"), "kind", 1),
)
_Make = Callable[[Any], object]
INSIDE: dict[str, tuple[_Make, list[Any], list[Any]]] = {
    "readers": (lambda it: replace(CALL, readers=it), [(1, 2), (_ID,)], [(2, 1), (1, 1), (0,), (_ID + 1,)]),
    "jobs": (
        lambda it: replace(CALL, jobs=tuple(replace(JOB, order=bytes([one]) * 32) for one in it)),
        [(0,), (0, 1)],
        [(), (1, 0), (1, 1)],
    ),
    "operations": (
        lambda it: replace(JOB, operations=tuple(Operation(one, Need("turning")) for one in it)),
        [(0,), range(256), (255,), (3, 4)],
        [(), range(257), (256,), (-1, 0), (3, 5), (4, 3)],
    ),
    "tardiness": (
        lambda it: replace(OBJECTIVE, tardiness=it),
        [((WORD, 0),), ((WORD, _AMOUNT),)],
        [((WORD, -1),), ((WORD, _AMOUNT + 1),), ((WORD, 1), (WORD, 1)), ((WORD[1:], 1),), ((WORD + b"\0", 1),)],
    ),
    "destination": (
        lambda it: replace(OBJECTIVE, destination=it),
        [((WORD, 1),), ((WORD, _ID),)],
        [((WORD, 0),), ((WORD, _ID + 1),), ((WORD, 1), (WORD, 1)), ((WORD[1:], 1),)],
    ),
    "transport": (
        lambda it: replace(OBJECTIVE, transport=tuple(Transport(one[0], one[1], 0, 0, 0) for one in it)),
        [((1, 2), (1, 3)), ((1, 2), (2, 1))],
        [((1, 1),), ((1, 2), (1, 2)), ((2, 1), (1, 2))],
    ),
    "windows": (
        lambda it: replace(OFFER, windows=it),
        [((0, 0, 0),), ((_SLOTS, _SLOTS, _AMOUNT),), ((0, 1, 1), (2, 2, 1))],
        [
            (),
            ((-1, 0, 0),),
            ((0, _SLOTS + 1, 0),),
            ((1, 0, 0),),
            ((0, 1, 1), (1, 2, 1)),
            ((0, 0, -1),),
            ((0, 0, _AMOUNT + 1),),
        ],
    ),
    "proof": (
        lambda it: Anchored(WORD, 0, 1, WORD, it, 0, 0),
        [(), (WORD,) * 64],
        [(WORD,) * 65, (WORD[1:],), (WORD + b"\0",)],
    ),
    "place": (
        lambda it: Cause(CauseKind.LATE, "", *it),
        [(WORD, 0), (None, None, 0)],
        [(), (WORD,), (None, 0), (WORD, 0, 0), (WORD, None, 0), (None, 0, 0)],
    ),
    "prices": (
        lambda it: Bound(0, it),
        [((1, ((0, 1),)),), ((_ID, ((_SLOTS, 2**40),)),), ((1, ()), (2, ()))],
        [
            *(((0, ()),), ((_ID + 1, ()),), ((2, ()), (1, ())), ((1, ()), (1, ()))),
            *(((1, ((slot, price),)),) for slot, price in ((-1, 1), (_SLOTS + 1, 1), (0, 0), (0, 2**40 + 1))),
            ((1, ((1, 1), (0, 1))),),
            ((1, ((1, 1), (1, 1))),),
        ],
    ),
    "offers": (lambda it: replace(PLAN, offers=it), [(WORD,)], [(WORD, WORD), (WORD[1:],), (WORD + b"\0",)]),
    "both": (
        lambda it: replace(PLAN, before=WORD, cause=CAUSE, offers=(WORD,), dropped=it),
        [(), (b"\1" * 32,)],
        [(WORD,), (b"\1" * 31,)],
    ),
    "before": (
        lambda it: replace(PLAN, **it),
        [{}, {"before": WORD, "cause": CAUSE, "now": 1, "fixed": ((WORD, 0),)}],
        [{"before": WORD}, {"cause": CAUSE}, {"now": 1}, {"dropped": (WORD,)}, {"fixed": ((WORD, 0),)}],
    ),
    "rows": (
        lambda it: replace(PLAN, rows=tuple(replace(ROW, operation=one) for one in it)),
        [(0, 1)],
        [(1, 0), (0, 0)],
    ),
    "legs": (
        lambda it: replace(PLAN, legs=tuple(Leg(WORD, one, 1, 2, 0, 0, 0, 0) for one in it)),
        [(0, 1)],
        [(1, 0), (0, 0)],
    ),
    "fixed": (
        lambda it: replace(PLAN, before=WORD, cause=CAUSE, fixed=tuple((WORD, one) for one in it)),
        [(0, 1)],
        [(1, 0), (0, 0)],
    ),
    "reworked": (
        lambda it: replace(
            PLAN,
            before=WORD,
            cause=CAUSE,
            rows=(ROW, replace(ROW, operation=1)),
            reworked=tuple(replace(ROW, operation=one) for one in it),
        ),
        [(0,), (0, 0), (0, 1)],
        [(1, 0), (2,)],
    ),
    "values": (
        lambda it: Need("turning", it),
        [(), tuple((f"{one:02}", one) for one in range(64)), (("a", -_SAFE), ("b", _SAFE), ("c", "x" * 200))],
        [
            *(tuple((f"{one:02}", one) for one in range(65)), (("b", 1), ("a", 1)), (("", 1),)),
            *((("a", -_SAFE - 1),), (("a", _SAFE + 1),), (("a", ""),), (("a", "x" * 201),)),
        ],
    ),
    "limits": (
        lambda it: Capability("turning", it),
        [tuple((f"{one:02}", Range(0, 1)) for one in range(64))],
        [
            tuple((f"{one:02}", Range(0, 1)) for one in range(65)),
            (("b", Range(0, 1)), ("a", Range(0, 1))),
            (("", Range(0, 1)),),
        ],
    ),
    "choices": (
        Choices,
        [("a",), tuple(f"{one:03}" for one in range(256))],
        [(), tuple(f"{one:03}" for one in range(257)), ("b", "a"), ("a", "a"), ("",), ("x" * 201,)],
    ),
    "capability": (
        lambda it: Machine(1, 1, it),
        [(), (Capability("turning"),) * 64],
        [(Capability("turning"),) * 65],
    ),
    "machines": (
        lambda it: replace(made_file(0), machines=tuple(Machine(one, 1, ()) for one in it)),
        [(1, 2)],
        [(2, 1), (1, 1)],
    ),
    "part": (
        lambda it: replace(PART, before=WORD, cause=CAUSE, **it),
        [{"total": 5, "spent": 5, "reworked": (replace(ROW, price=5),)}],
        [
            {"total": 5, "spent": 4, "reworked": (replace(ROW, price=5),)},
            *({name: (WORD, WORD)} for name in ("offers", "dropped")),
            {"rows": (ROW, ROW)},
            {"legs": (Leg(WORD, 0, 1, 2, 0, 0, 0, 0),) * 2},
        ],
    ),
    "part without one before": (
        lambda it: replace(PART, **it),
        [{"total": 5}],
        [{"total": 5, "spent": 5}, {"reworked": (ROW,)}],
    ),
}


@pytest.mark.parametrize(("whole", "name", "low", "high"), RANGES, ids=lambda one: str(one)[:40])
def test_a_number_is_taken_from_the_least_to_the_largest(whole: Any, name: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(replace(whole, **{name: value}), name) == value
    # Sums are only ever of what was checked before.
    others = () if isinstance(whole, Cost | Bound) else (str(low), low + 0.0)
    for value in (low - 1, high + 1, *others):
        with pytest.raises(PlanError):
            replace(whole, **{name: value})


@pytest.mark.parametrize(("whole", "name", "size"), SIZES, ids=lambda one: str(one)[:40])
def test_bytes_have_their_size(whole: Any, name: str, size: int) -> None:
    assert getattr(replace(whole, **{name: bytes(size)}), name) == bytes(size)
    for wrong in (size - 1, size + 1, 0):
        with pytest.raises(PlanError, match=f"has {wrong} bytes instead of {size}"):
            replace(whole, **{name: bytes(wrong)})


@pytest.mark.parametrize(("whole", "name", "least"), TEXTS, ids=lambda one: str(one)[:40])
def test_text_is_printable_and_at_most_200_characters(whole: Any, name: str, least: int) -> None:
    for text in ("x" * least, "x" * 200, "Ø µ"):
        assert getattr(replace(whole, **{name: text}), name) == text
    for text in ("x" * 201, "a\nb", *([""] if least else [])):
        with pytest.raises(PlanError, match="printable characters"):
            replace(whole, **{name: text})


@pytest.mark.parametrize("name", INSIDE)
def test_lists_and_what_goes_together(name: str) -> None:
    build, taken, refused = INSIDE[name]
    for one in taken:
        assert build(one)
    for one in refused:
        with pytest.raises(PlanError):
            build(one)


# As JSON


def _places(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of each member, of objects that are alike in an array only of the first."""
    seen = set()
    for one in _members(value, path):
        alike = tuple(step for step in one if isinstance(step, str))
        if alike not in seen:
            seen.add(alike)
            yield one


def _members(value: Json, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield (*path, name)
            yield from _members(item, (*path, name))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _members(item, (*path, place))


def _changed(whole: Json, path: tuple[str | int, ...], change: Callable[[Any, Any], None]) -> Json:
    copy = json.loads(json.dumps(whole))
    at = copy
    for step in path[:-1]:
        at = at[step]
    change(at, path[-1])
    return copy  # type: ignore[no-any-return]


def _vectors() -> list[Json]:
    vectors = json.loads((Path(__file__).parents[2] / "vectors" / "plans.json").read_text("utf-8"))
    files = [one["file"] for one in vectors["accepted"]]
    return [max(files, key=lambda one: len(list(_places(one))))]


_FREE = ("values", "limits")
"""Objects whose members are the machine's own."""


@pytest.mark.parametrize("whole", _vectors())
def test_a_file_without_a_member_with_another_one_or_with_one_of_another_type_is_refused(whole: Json) -> None:
    def refuse(changed: Json) -> None:
        with pytest.raises(PlanError):
            parse_plan_file(canonical_json(changed))

    assert parse_plan_file(canonical_json(whole)).to_json() == whole
    for path in _places(whole):
        if any(name in _FREE for name in path[:-1]) or (path[-1] in ("reworked", "spent")):
            continue
        refuse(_changed(whole, path, lambda at, name: at.pop(name)))
        refuse(_changed(whole, path, lambda at, name: at.update({f"{name}_": at.pop(name)})))
        refuse(_changed(whole, path, lambda at, name: at.update({name: {"": []}})))
        refuse(_changed(whole, path, lambda at, name: at.update({name: True})))


def test_a_part_is_read_as_it_was_written_and_only_so() -> None:
    plan = made_file(3).plan
    assert plan is not None
    part = build_part(plan, plan.rows[0].owner)
    whole = part.to_json()
    assert PlanPart.parse(whole) == part
    assert part.rows
    for path in _places(whole):
        for change in (
            lambda at, name: at.pop(name),
            lambda at, name: at.update({f"{name}_": at.pop(name)}),
            lambda at, name: at.update({name: {"": []}}),
        ):
            with pytest.raises(PlanError):
                PlanPart.parse(_changed(whole, path, change))


def test_a_part_has_what_its_reader_does_or_carries() -> None:
    plan = replace(PLAN, legs=(Leg(WORD, 0, 1, 2, 3, 0, 0, 0), Leg(WORD, 1, 4, 5, 0, 0, 0, 0)))
    plan = replace(plan, rows=(ROW, replace(ROW, operation=1, owner=4)))
    parts = {reader: build_part(plan, reader) for reader in range(1, 7)}
    assert {reader: [leg.after for leg in part.legs] for reader, part in parts.items()} == {
        1: [0],
        2: [0],
        3: [0],
        4: [1],
        5: [1],
        6: [],
    }
    assert {reader: [row.operation for row in part.rows] for reader, part in parts.items() if part.rows} == {
        1: [0],
        4: [1],
    }
    assert isinstance(made_file(0), PlanFile)
