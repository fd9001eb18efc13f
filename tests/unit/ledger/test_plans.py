"""Calls, offers and plans as documents, and the check of a plan."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.errors import PlanError, PlanRefusedError
from millmark.ledger.plans import problem as problems
from millmark.ledger.plans.call import Job, Need, Operation, is_capable, parse_capability
from millmark.ledger.plans.check import (
    Share,
    check_part,
    check_plan,
    count_offers,
    gap_per_mille,
    jain_per_mille,
    verify_revisions,
)
from millmark.ledger.plans.feasible import PlanRule, find_tied, tie_rank
from millmark.ledger.plans.file import PlanFile, PlanPart, build_part, parse_plan_file
from millmark.ledger.plans.offer import Offer, OfferWithdrawal, OpenedOffer
from millmark.ledger.plans.plan import Bound, Cause, CauseKind, Plan, Row
from millmark.ledger.plans.problem import Problem, SlotPrices, build_problem, derive_bound, tabulate, verify_size
from tests.support.plan_forgeries import forge
from tests.support.plan_truth import brute_bound, brute_optimum, counting, is_true
from tests.support.plan_world import draw_file, made_file

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "plans.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda vector: str(vector["name"]))
def test_what_holds_is_accepted(vector: dict[str, Json]) -> None:
    file = parse_plan_file(canonical_json(vector["file"]))
    found = check_plan(file)
    assert "0x" + found.plan.digest.hex() == vector["plan"]
    assert "0x" + file.call.digest.hex() == vector["call"]
    assert file.to_bytes() == canonical_json(vector["file"])


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: str(vector["name"]))
def test_what_does_not_hold_is_refused(vector: dict[str, Json]) -> None:
    """A rule's name, or `form` where the file is not one at all."""
    with pytest.raises((PlanRefusedError, PlanError)) as caught:
        check_plan(parse_plan_file(canonical_json(_patched(vector))))
    rule = caught.value.rule if isinstance(caught.value, PlanRefusedError) else "form"
    assert (rule, str(caught.value).splitlines()) == (vector["rule"], [vector["line"]])


def test_refusals_outnumber_acceptances_and_every_rule_has_one() -> None:
    assert len(VECTORS["refused"]) > len(VECTORS["accepted"])
    shown = {vector["rule"] for vector in VECTORS["refused"]}
    assert shown == {*PlanRule, "form"} - {PlanRule.REVISION}  # a rule about the ledger, not about a file


def _patched(vector: dict[str, Json]) -> Json:
    """The accepted file of that name, with the values at some paths replaced; None takes a member out."""
    [base] = [one["file"] for one in VECTORS["accepted"] if one["name"] == vector["base"]]
    file = json.loads(json.dumps(base))
    for path, value in vector["changes"]:  # type: ignore[union-attr, misc]
        *steps, last = path  # type: ignore[misc]
        at = file
        for step in steps:
            at = at[step]
        at[last] = value
    return cast("Json", file)


def test_the_check_and_another_reading_of_the_rules_agree_on_plans_that_hold() -> None:
    for seed in range(6):
        file = made_file(seed, anchored=seed % 2 == 1)
        assert is_true(file)
        assert check_plan(file).gap_per_mille >= 0


def test_forged_plans_are_refused() -> None:
    refused, accepted = forge(400, 7, worlds=3)
    assert accepted == []
    assert refused.keys() >= {PlanRule.BOUND, PlanRule.SUMS, PlanRule.OFFERS, PlanRule.WINDOW, PlanRule.TRANSPORT}
    assert PlanRule.BEFORE in refused


@functools.cache
def _small(seed: int) -> tuple[PlanFile, int | None]:
    file = draw_file(seed, orders=2, slots=12)
    return file, brute_optimum(file)


PRICES = st.dictionaries(st.tuples(st.integers(1, 3), st.integers(0, 11)), st.integers(0, 40), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 7), PRICES)
def test_no_prices_prove_more_than_the_best_plan_costs(seed: int, prices: dict[tuple[int, int], int]) -> None:
    file, optimum = _small(seed)
    offers = counting(file)
    rows = {machine: [prices.get((machine, slot), 0) for slot in range(12)] for machine in (1, 2, 3)}
    problem = build_problem(
        file.call, file.objective, count_offers(file.call, file.machines, file.offers).offers.items()
    )
    value = derive_bound(problem, SlotPrices(12, rows))
    assert value == brute_bound(file, offers, prices, 0, {})
    assert optimum is None or value is None or value <= optimum


def test_a_known_path_only_saves_time() -> None:
    file = made_file(1)
    problem = build_problem(
        file.call, file.objective, count_offers(file.call, file.machines, file.offers).offers.items()
    )
    prices = SlotPrices(file.call.slots, {1: [3] * file.call.slots})
    free = derive_bound(problem, prices)
    least = [tabulate(problem, route, prices).value for route in problem.routes]
    for slack in (0, 1, 5, 1000):
        assert derive_bound(problem, prices, [value + slack for value in least]) == free


def test_a_check_leaves_out_what_is_dearer_than_the_paths_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    file, told = made_file(2), list[Sequence[int]]()

    def derive(problem: Problem, prices: SlotPrices, known: Sequence[int]) -> int | None:
        told.append(known)
        return derive_bound(problem, prices, known)

    monkeypatch.setattr(problems, "derive_bound", derive)
    check_plan(file)
    [known] = told
    assert (len(known), sum(known)) == (len(file.call.jobs), _plan(file).cost.total), "there are no slot prices"


def _plan(file: PlanFile) -> Plan:
    assert file.plan is not None
    return file.plan


def test_an_owner_checks_its_part_alone() -> None:
    file = made_file(3)
    part = build_part(_plan(file), 12)
    assert PlanPart.parse(part.to_json()) == part
    own = [(key, offer) for key, offer in counting(file).items() if offer.owner == 12]
    found = check_part(part, own)
    assert 0 <= found.unsold <= found.gap
    assert found.dropped == 0
    set_aside = replace(part, dropped=(own[0][0],), offers=tuple(item for item in part.offers if item != own[0][0]))
    assert check_part(replace(set_aside, rows=()), own).dropped == 1
    used = own[[key for key, _ in own].index(part.rows[0].offer)][0]
    with pytest.raises(PlanRefusedError, match="rule offer: its offer is not one of this owner's"):
        check_part(replace(part, dropped=(used,)), own)
    left_out = replace(part, offers=tuple(item for item in part.offers if item != own[0][0]))
    with pytest.raises(PlanRefusedError, match=r"rule offers: .* was left out"):
        check_part(left_out, own)
    row = replace(part.rows[0], price=part.rows[0].price + 1)
    with pytest.raises(PlanRefusedError, match="rule window: is not as it was offered"):
        check_part(replace(part, rows=(row, *part.rows[1:])), own)
    prices = ((2, ((23, 9000),)),)
    with pytest.raises(PlanRefusedError, match="rule bound: unused slots with prices add up to 9000"):
        check_part(replace(part, bound=replace(part.bound, prices=prices)), own)


def test_plans_from_before_there_was_rework_are_read_and_keep_their_digests() -> None:
    """The vectors without rework are as they were then. So are parts of such plans."""
    for vector in VECTORS["accepted"][:-1]:
        value = vector["file"]["plan"]
        assert "reworked" not in value
        assert "spent" not in value["cost"]
        plan = Plan.parse(value)
        assert (plan.to_json(), "0x" + plan.digest.hex()) == (value, vector["plan"])
        part = build_part(plan, 12).to_json()
        assert part.keys().isdisjoint({"reworked", "spent"})
        assert PlanPart.parse(part) == build_part(plan, 12)


OLD_PLAN = "0x98be2b98cba8d07f4305230c6b0281e337b6d3b873ca821de4607d71053b92ce"
"""Digest of the first vector, as plans were first written."""


def test_the_first_vector_has_the_digest_that_it_always_had() -> None:
    assert VECTORS["accepted"][0]["plan"] == OLD_PLAN


def test_what_is_optional_has_one_form() -> None:
    plan = VECTORS["accepted"][-1]["file"]["plan"]
    part = build_part(Plan.parse(plan), plan["reworked"][0]["owner"])
    assert (part.spent, PlanPart.parse(part.to_json())) == (plan["cost"]["spent"], part)
    for change, why in (({"reworked": []}, "empty array"), ({"spent": 0}, "must be an integer from 1")):
        with pytest.raises(PlanError, match=why):
            PlanPart.parse(part.to_json() | change)
    with pytest.raises(PlanError, match="cost more than all"):
        replace(part, spent=part.spent - 1)
    with pytest.raises(PlanError, match="without one before"):
        replace(part, before=None, cause=None)


def test_a_plan_on_an_old_revision_is_refused() -> None:
    call = made_file(0).call
    in_force = {job.order: job.revision for job in call.jobs}
    verify_revisions(call, in_force)
    with pytest.raises(PlanRefusedError, match="rule revision: its terms were changed after the call"):
        verify_revisions(call, {**in_force, call.jobs[1].order: bytes(32)})


def test_of_doubled_offers_the_first_in_the_stream_counts() -> None:
    for anchored in (False, True):
        file = draw_file(2, anchored=anchored)
        counted = count_offers(file.call, file.machines, file.offers)
        reasons = sorted(counted.refused.values())
        assert reasons == ["expired before the call closed", "withdrawn"]
        rest = tuple(item for item in file.offers if isinstance(item.entry, Offer))  # without the withdrawal
        doubled = count_offers(file.call, file.machines, rest)
        twins = [reason for reason in doubled.refused.values() if reason.startswith("doubled")]
        assert len(twins) == (1 if anchored else 2)


def test_what_has_no_place_in_a_stream_takes_nothing_from_an_offer_that_has_one() -> None:
    """Anybody can write an offer or withdrawal in another's name: the place shows that its owner did."""
    file = made_file(2, anchored=True)
    rival = next(item for item in file.offers if item.id == _plan(file).rows[0].offer)
    forged = (
        OpenedOffer(rival.entry, bytes(32)),
        OpenedOffer(OfferWithdrawal(file.call.digest, rival.id), bytes(32)),
    )
    changed = replace(file, offers=(*forged, *file.offers))
    assert check_plan(changed).plan == _plan(file)
    assert is_true(replace(changed, offers=changed.offers[1:]))
    refused = count_offers(file.call, file.machines, changed.offers).refused
    assert refused[forged[0].id].startswith("doubled")


@pytest.mark.parametrize(
    ("kind", "count", "cause"),
    [
        (CauseKind.LATE, 1, "the cause late takes none"),
        (CauseKind.CALL, 1, "the cause call takes none"),
        (CauseKind.MACHINE_DOWN, 9, "are dropped by one cause machine-down"),
        (CauseKind.DECLINED, 9, "is not the operation that was declined|are dropped by one cause declined"),
    ],
)
def test_a_cause_takes_no_more_offers_away_than_its_kind_can(kind: CauseKind, count: int, cause: str) -> None:
    file = made_file(3)
    before = _plan(file)
    used = {row.offer for row in before.rows}
    dropped = tuple(item for item in before.offers if item not in used)[:count]
    kept = tuple(item for item in before.offers if item not in dropped)
    plan = replace(
        before, before=before.digest, cause=Cause(kind, "", record=1), dropped=dropped, offers=kept, bound=Bound(0, ())
    )
    with pytest.raises(PlanRefusedError, match=f"rule before: .*({cause})"):
        check_plan(replace(file, plan=plan, before=before))


def test_an_offer_is_no_tie_if_taking_it_leaves_the_machine_no_time_for_setup() -> None:
    """Between A and C, which are of different families, lies B: without it C would need a setup."""
    call, key = bytes(32), [bytes([n]) * 32 for n in range(8)]
    offers = [
        Offer(call, 5, machine, key[order], 0, 1, setup, family, ((order, order, 1),), 0, 0, 0)
        for machine, order, setup, family in ((1, 0, 0, "a"), (1, 1, 0, "c"), (2, 1, 0, "c"), (1, 2, 2, "c"))
    ]
    named = [(sha256(bytes([n])), offer) for n, offer in enumerate(offers)]
    jobs = tuple(Job(name, bytes(32), 0, 9, (Operation(0, Need("turning")),)) for name in key[:3])
    world = replace(made_file(0).call, jobs=jobs, slots=9)
    problem = build_problem(world, replace(made_file(0).objective, destination=()), named)
    rows = [
        Row(offer.order, 0, name, offer.machine, 5, offer.windows[0][0], offer.windows[0][0] + 1, 1, 0, 0)
        for name, offer in (named[0], named[1], named[3])
    ]
    tie = next(tie for tie in key if tie_rank(tie, named[2][0]) < tie_rank(tie, named[1][0]))
    assert not list(find_tied(problem, rows, tie, frozenset()))
    without_setup = [(name, replace(offer, setup=0)) for name, offer in named]
    free = build_problem(world, replace(made_file(0).objective, destination=()), without_setup)
    assert [choice.machine for _, choice in find_tied(free, rows, tie, frozenset())] == [2]


def test_an_offer_of_a_machine_that_cannot_or_is_anothers_does_not_count() -> None:
    file = draw_file(0)
    unable = tuple(replace(machine, capability=()) for machine in file.machines)
    counted = count_offers(file.call, unable, file.offers)
    assert not counted.offers
    assert "of machine 1, which does no turning" in counted.refused.values()
    foreign = tuple(replace(machine, owner=77) for machine in file.machines)
    assert "of machine 1, which is not the owner's" in count_offers(file.call, foreign, file.offers).refused.values()


@pytest.mark.parametrize(
    ("capability", "need", "is_match"),
    [
        ({"diameter_mm": [10, 400]}, {"diameter_mm": 10}, True),
        ({"diameter_mm": [10, 400]}, {"diameter_mm": 401}, False),
        ({"diameter_mm": [10, 400]}, {"diameter_mm": "10"}, False),
        ({"material": ["steel", "aluminium"]}, {"material": "steel"}, True),
        ({"material": ["steel"]}, {"material": "brass"}, False),
        ({}, {"length_mm": 1}, False),
        ({"length_mm": [0, 9]}, {}, True),
    ],
)
def test_a_need_matches_a_capability(capability: Json, need: Json, is_match: bool) -> None:
    kinds = parse_capability([{"kind": "milling", "limits": {}}, {"kind": "turning", "limits": capability}])
    assert is_capable(kinds, Need.parse({"kind": "turning", "values": need})) is is_match


def test_a_capability_is_read_as_it_was_written() -> None:
    limits: Json = {"diameter_mm": [10, 400], "material": ["aluminium", "steel"], "surface": ["raw"]}
    whole: Json = [{"kind": "turning", "limits": limits}, {"kind": "milling", "limits": {}}]
    assert [kind.to_json() for kind in parse_capability(whole)] == whole


@pytest.mark.parametrize("limit", [[1], [1, 2, 3], [2, 1], [1, "a"], [True, 2], "steel", {}])
def test_a_limit_that_is_neither_range_nor_choices_is_refused(limit: Json) -> None:
    with pytest.raises(PlanError):
        parse_capability([{"kind": "turning", "limits": {"x": limit}}])


def test_a_problem_that_no_memory_holds_is_not_checked() -> None:
    problem = build_problem(made_file(0).call, made_file(0).objective, counting(made_file(0)).items())
    verify_size(problem, _plan(made_file(0)).bound)
    priced = Bound(0, tuple((machine, ((0, 1),)) for machine in range(1, 202)))
    with pytest.raises(PlanError, match="20100000 slots with prices are too many"):
        verify_size(replace(problem, slots=100_000), priced)
    route = problem.routes[0]
    wide = replace(route.choices[0][0], windows=((0, 99_999, 1),))
    with pytest.raises(PlanError, match="20100000 starts of offers are too many"):
        verify_size(replace(problem, routes=(replace(route, choices=((wide,) * 201,)),)), Bound(0, ()))


def test_gap_and_evenness_do_not_flatter() -> None:
    assert gap_per_mille(1000, 999, spent=0) == 1
    assert gap_per_mille(100_000, 99_999, spent=0) == 1  # rounded up
    assert gap_per_mille(0, 0, spent=0) == 0
    assert gap_per_mille(1500, 1000, spent=0) == 334
    assert gap_per_mille(2**40 + 1500, 2**40 + 1000, spent=2**40) == 334  # what was spent makes it no smaller
    assert gap_per_mille(700, 700, spent=700) == 0
    assert jain_per_mille(check_plan(made_file(0)).shares()) <= 1000
    assert jain_per_mille([Share(1, 12, 6), Share(2, 1, 1)]) == 900, "a half and a whole: 2.25 of 2 x 1.25"
