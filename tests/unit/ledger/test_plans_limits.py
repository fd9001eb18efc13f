"""The largest and least that calls, offers and plans may have, and the program that checks a plan file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import millmark.ledger.plans
from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.errors import PlanError
from millmark.ledger.plans import check
from millmark.ledger.plans import file as plan_files
from millmark.ledger.plans.__main__ import main
from millmark.ledger.plans.call import (
    MAX_CHOICES,
    MAX_KINDS,
    MAX_VALUES,
    Choices,
    Need,
    Range,
    parse_capability,
)
from millmark.ledger.plans.check import read_plan_file
from millmark.ledger.plans.file import MAX_PLAN_FILE_BYTES, Machine, PlanFile, PlanPart, build_part, parse_plan_file
from millmark.ledger.plans.form import MAX_AMOUNT, MAX_ID, MAX_JOBS, MAX_OFFERS, MAX_SLOTS, MAX_TIME
from millmark.ledger.plans.offer import MAX_WINDOWS, Anchored, Offer
from millmark.ledger.plans.plan import Bound, Cost
from millmark.ledger.plans.problem import MAX_STARTS
from tests.support.plan_world import made_file

NAME = bytes(32)
Window = tuple[int, int, int]


def offer(*windows: Window, **more: int) -> Offer:
    made = Offer(NAME, 11, 1, NAME, 0, 1, 0, "", windows or ((0, 1, 1),), 0, 0, 0)
    return replace(made, **more)  # type: ignore[arg-type]  # its numbers


def anchored(**more: object) -> Anchored:
    return replace(Anchored(NAME, 0, 1, NAME, (), 0, 0), **more)  # type: ignore[arg-type]  # its members


def cost(**more: int) -> Cost:
    return replace(Cost(0, 0, 0, 0), **more)


def part(**more: object) -> PlanPart:
    plan = made_file(3).plan
    assert plan is not None
    return replace(build_part(plan, 12), **more)  # type: ignore[arg-type]  # its members


def values(count: int) -> tuple[tuple[str, int], ...]:
    return tuple((f"value_{number:03}_mm", 1) for number in range(count))


def machine(**more: int) -> Machine:
    return replace(Machine(1, 1, ()), **more)  # type: ignore[arg-type]  # its numbers


LIMITS: list[tuple[Callable[..., object], str, int, int]] = [
    (anchored, "size", 1, MAX_ID),
    (anchored, "record", 0, MAX_ID),
    (anchored, "time", 0, MAX_TIME),
    (offer, "owner", 1, MAX_ID),
    (offer, "machine", 1, MAX_ID),
    (offer, "operation", 0, 255),
    (offer, "duration", 1, MAX_SLOTS),
    (offer, "setup", 0, MAX_SLOTS),
    (offer, "wh", 0, MAX_AMOUNT),
    (offer, "co2e_mg", 0, MAX_AMOUNT),
    (offer, "until", 0, MAX_TIME),
    (cost, "price", 0, 2**53 - 1),
    (cost, "transport", 0, 2**53 - 1),
    (cost, "tardiness", 0, 2**53 - 1),
    (cost, "carbon", 0, 2**53 - 1),
    (cost, "spent", 0, 2**53 - 1),
    (part, "participant", 1, MAX_ID),
    (machine, "machine", 1, MAX_ID),
    (machine, "owner", 1, MAX_ID),
]


@pytest.mark.parametrize(("make", "member", "least", "most"), LIMITS)
def test_a_number_is_within_its_limits(make: Callable[..., object], member: str, least: int, most: int) -> None:
    for allowed in (least, most):
        assert getattr(make(**{member: allowed}), member) == allowed
    for refused in (least - 1, most + 1):
        with pytest.raises(PlanError):
            make(**{member: refused})


def test_the_sum_of_costs_is_what_json_can_represent() -> None:
    assert cost(price=2**53 - 2, spent=1).total == 2**53 - 1
    with pytest.raises(PlanError, match="total"):
        cost(price=2**53 - 1, spent=1)


def test_a_list_is_no_longer_than_its_limit() -> None:
    assert len(anchored(proof=(NAME,) * 64).proof) == 64
    with pytest.raises(PlanError, match="proof"):
        anchored(proof=(NAME,) * 65)
    assert len(Need("turning", values(MAX_VALUES)).values) == MAX_VALUES == 64
    with pytest.raises(PlanError, match="values of a need"):
        Need("turning", values(MAX_VALUES + 1))
    texts = tuple(f"{number:04}" for number in range(MAX_CHOICES + 1))
    assert len(Choices(texts[1:]).texts) == MAX_CHOICES == 256
    with pytest.raises(PlanError, match="choices"):
        Choices(texts)


def test_there_are_at_most_so_many_kinds_jobs_windows_and_offers() -> None:
    assert (MAX_JOBS, MAX_OFFERS, MAX_WINDOWS, MAX_KINDS) == (10_000, 200_000, 100_000, 64)
    kinds: list[Json] = [{"kind": f"{number:04}", "limits": {}} for number in range(MAX_KINDS + 1)]
    assert len(parse_capability(kinds[1:])) == MAX_KINDS
    with pytest.raises(PlanError, match="kinds of a capability: 65 of them"):
        parse_capability(kinds)
    call = made_file(3).call
    jobs = tuple(replace(call.jobs[0], order=number.to_bytes(32)) for number in range(MAX_JOBS + 1))
    assert len(replace(call, jobs=jobs[1:]).jobs) == MAX_JOBS
    with pytest.raises(PlanError, match="jobs of a call: 10001 of them"):
        replace(call, jobs=jobs)
    windows = tuple((slot, slot, 1) for slot in range(MAX_WINDOWS + 1))
    assert len(offer(*windows[1:]).windows) == MAX_WINDOWS
    with pytest.raises(PlanError, match="windows of an offer: 100001 of them"):
        offer(*windows)
    unpriced = tuple((number, ()) for number in range(1, MAX_OFFERS + 2))
    assert len(Bound(0, unpriced[1:]).prices) == MAX_OFFERS
    with pytest.raises(PlanError, match="machines with slot prices: 200001 of them"):
        Bound(0, unpriced)


def test_a_range_has_both_its_ends() -> None:
    allowed = Range(-3, 4)
    assert [value for value in range(-6, 7) if allowed.allows(value)] == list(range(-3, 5))
    assert not allowed.allows("0")


def test_a_plan_file_is_nested_at_most_12_deep() -> None:
    """Before its members are looked at, so that a reader needs no more of its stack for what somebody sends."""
    for depth, told in ((12, "a plan file"), (13, "nested more than 12 levels deep")):
        with pytest.raises(PlanError, match=told) as refused:
            parse_plan_file(b"[" * depth + b"]" * depth)
        assert ("nested" in str(refused.value)) is (depth > 12)


def test_a_part_is_named_as_such() -> None:
    assert part().to_json()["format"] == "millmark.plan-part"


@pytest.mark.parametrize(
    "windows",
    [
        ((0, 3, 1), (3, 5, 1)),
        ((0, 3, 1), (2, 5, 1)),
        ((4, 5, 1), (0, 3, 1)),
        ((3, 2, 1),),
        ((-1, 2, 1),),
        ((0, MAX_SLOTS + 1, 1),),
        ((0, 1, -1),),
        ((0, 1, MAX_AMOUNT + 1),),
    ],
)
def test_windows_ascend_apart_within_the_slots(windows: tuple[Window, ...]) -> None:
    with pytest.raises(PlanError):
        offer(*windows)


def test_windows_may_touch_and_end_in_the_last_slot() -> None:
    found = offer((0, 3, 0), (4, 4, MAX_AMOUNT), (5, MAX_SLOTS, 1))
    assert [found.price_at(start) for start in (0, 3, 4, 5, MAX_SLOTS)] == [0, 0, MAX_AMOUNT, 1, 1]


def test_a_part_says_what_was_spent_before() -> None:
    for made in (part(), part(before=NAME, spent=3)):
        assert PlanPart.parse(made.to_json()) == made
    assert part(before=NAME, spent=3).to_json()["spent"] == 3
    assert "spent" not in part().to_json()


@pytest.mark.parametrize(("name", "told"), [("plan", "plan"), ("call", "call"), ("tie", "tie hash")])
def test_a_part_names_the_hash_that_is_none(name: str, told: str) -> None:
    with pytest.raises(PlanError, match=f"the {told} of a plan's part"):
        replace(part(), **{name: bytes(31)})  # type: ignore[arg-type]  # each is one of bytes


def test_the_page_says_how_large_a_plan_file_may_be() -> None:
    page = (Path(str(millmark.ledger.plans.__file__)).parent / "PLANS.md").read_text(encoding="utf-8")
    assert f"at most {MAX_PLAN_FILE_BYTES >> 20} MiB" in page
    assert f"A bound over more than {MAX_STARTS:,} starts of offers" in page
    assert MAX_PLAN_FILE_BYTES % 2**20 == 0


def test_a_larger_file_is_refused_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data = tmp_path / "plan.json", made_file(1).to_bytes()
    path.write_bytes(data)
    for limit in (len(data), len(data) - 1):
        for module in (plan_files, check):
            monkeypatch.setattr(module, "MAX_PLAN_FILE_BYTES", limit)
        if limit == len(data):
            assert read_plan_file(path) == made_file(1)
        else:
            with pytest.raises(PlanError, match=f"exceeds the limit of {limit}"):
                read_plan_file(path)


def written(folder: Path, name: str, file: PlanFile | dict[str, object]) -> str:
    path = folder / name
    path.write_bytes(file.to_bytes() if isinstance(file, PlanFile) else canonical_json(file))  # type: ignore[arg-type]  # JSON
    return str(path)


def test_the_program_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = written(tmp_path, "good.json", made_file(1))
    assert main([good]) == 0
    assert "cheaper than this one" in capsys.readouterr().out
    assert main([good, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    plan = made_file(1).plan
    assert plan is not None
    assert (said["format"], said["holds"]) == ("millmark.plan.check/1", True)
    assert (said["rows"], said["cost"]) == (len(plan.rows), plan.cost.to_json())


def test_the_program_says_which_rule_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = made_file(1).plan
    assert plan is not None
    bad = written(tmp_path, "bad.json", replace(made_file(1), plan=replace(plan, rows=plan.rows[:-1])))
    assert main([bad, "--json"]) == 1
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert said.keys() == {"format", "holds", "rule", "order", "operation", "cause"}
    assert (said["holds"], shown.err.count("\n")) == (False, 1)
    assert f"rule {said['rule']}" in shown.err
    assert said["cause"] in shown.err
    assert main([bad]) == 1
    assert capsys.readouterr().out == ""


def test_the_program_says_what_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (written(tmp_path, "empty.json", {}), str(tmp_path / "none.json"), str(tmp_path)):
        assert main([path]) == 2
        shown = capsys.readouterr()
        assert (shown.out, shown.err.count("\n")) == ("", 1)
