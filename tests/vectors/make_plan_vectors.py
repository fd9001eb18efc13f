"""Writes tests/vectors/plans.json: plan files that hold, and changes of them that do not.

    .venv/bin/python -m tests.vectors.make_plan_vectors

A vector that does not hold names the file it is made from, changes as pairs of path and value, the rule that refuses it
(`form` where it is no plan file any more) and the line that the user reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from millmark.ledger.canonical import canonical_json
from millmark.ledger.errors import PlanError, PlanRefusedError
from millmark.ledger.plans.check import check_plan
from millmark.ledger.plans.feasible import PlanRule
from millmark.ledger.plans.file import PlanFile, parse_plan_file
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Cause, CauseKind
from millmark.services.planning.schedule import Replan, make_plan
from tests.support.plan_truth import is_true
from tests.support.plan_world import TIE, draw_file, made_file

TARGET = Path(__file__).with_name("plans.json")
Change = tuple[list[str | int], Any]


def main() -> None:
    accepted = {
        "offers without proof": made_file(1),
        "offers in anchored trees": made_file(1, anchored=True),
        "after a machine went down": _replanned(),
        "two equal offers": _tied(),
        "a part failed, and its operation is done again": _reworked(),
    }
    files = {name: json.loads(file.to_bytes()) for name, file in accepted.items()}
    vectors = {
        "accepted": [
            {
                "name": name,
                "call": "0x" + accepted[name].call.digest.hex(),
                "plan": "0x" + check_plan(accepted[name]).plan.digest.hex(),
                "file": files[name],
            }
            for name in files
        ],
        "refused": [_refused(files[base], base, name, rule, changes) for base, name, rule, changes in _cases(files)],
    }
    TARGET.write_text(json.dumps(vectors, indent=1) + "\n", "utf-8")


def _refused(file: Any, base: str, name: str, rule: str, changes: Sequence[Change]) -> dict[str, Any]:
    changed = json.loads(json.dumps(file))
    for path, value in changes:
        at = changed
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
    try:
        check_plan(parse_plan_file(canonical_json(changed)))
    except (PlanError, PlanRefusedError) as error:
        found = error.rule if isinstance(error, PlanRefusedError) else "form"
        if found != rule:
            raise AssertionError(f"{name}: {error}") from error
        return {
            "name": name,
            "base": base,
            "changes": [[path, value] for path, value in changes],
            "rule": rule,
            "line": str(error),
        }
    raise AssertionError(f"{name} is accepted")


def _replanned() -> PlanFile:
    before = made_file(3)
    assert before.plan is not None
    first = before.plan.rows[0]
    used = next(row for row in before.plan.rows[1:] if row.offer != first.offer)
    replan = Replan(
        cause=Cause(CauseKind.MACHINE_DOWN, "the spindle stopped", stream=bytes(31) + b"\1", leaf=7),
        now=1,
        started=frozenset({first.key}),
        dropped=frozenset({used.offer}),
    )
    return make_plan(
        replace(before, plan=None, before=before.plan),
        tie=TIE,
        replan=replan,
        cpu_s=0.2,
        with_solver=False,
        repeatable=True,
    ).file


def _reworked() -> PlanFile:
    before = made_file(3)
    assert before.plan is not None
    failed = before.plan.rows[0].key
    cause = Cause(CauseKind.CERTIFICATE, "the journal is out of round", record=31)
    replan = Replan(cause, now=before.plan.rows[0].end, rework=frozenset({failed}))
    world = replace(before, plan=None, before=before.plan)
    return make_plan(world, tie=TIE, replan=replan, cpu_s=0.2, with_solver=False, repeatable=True).file


def _tied() -> PlanFile:
    """A file in which one operation is offered on two machines on the same terms."""
    for seed in range(200):
        file = draw_file(seed, orders=1)
        offers = []
        for item in file.offers[:-3]:  # without those that do not count
            entry = item.entry
            if isinstance(entry, Offer) and entry.operation == 2:
                entry = replace(entry, duration=2, setup=0, windows=((0, 22, 5),), wh=1, co2e_mg=1)
            offers.append(replace(item, entry=entry))
        changed = replace(file, offers=tuple(offers))
        made = make_plan(changed, tie=TIE, cpu_s=0.1, with_solver=False, repeatable=True).file
        if is_true(made):
            return made
    raise AssertionError("no such file")


def _cases(files: dict[str, Any]) -> list[tuple[str, str, str, list[Change]]]:
    plain, anchored, replanned, tied, reworked = files
    plan = files[plain]["plan"]
    row = plan["rows"][0]
    numbers = [place for place, item in enumerate(files[anchored]["offers"]) if _id_is_used(files[anchored], place)]
    leg = plan["legs"][0]
    prices = plan["bound"]["prices"]
    cost = plan["cost"]
    zero = "0x" + "00" * 32
    cases: list[tuple[str, str, str, list[Change]]] = [
        (plain, "a member too many", "form", [(["plan", "note"], "x")]),
        (plain, "another version", "form", [(["version"], 2)]),
        (plain, "a number as text", "form", [(["call", "slots"], "24")]),
        (plain, "true for 1", "form", [(["call", "chain_id"], True)]),
        (plain, "a slot of no length", "form", [(["call", "slot"], 0)]),
        (plain, "jobs out of order", "form", [(["call", "jobs"], files[plain]["call"]["jobs"][::-1])]),
        (plain, "a negative price in an offer", "form", [(["offers", 0, "entry", "windows", 0, 2], -1)]),
        (plain, "windows that overlap", "form", [(["offers", 0, "entry", "windows"], [[0, 5, 1], [5, 9, 1]])]),
        (plain, "a negative slot price", "form", [(["plan", "bound", "prices"], [[1, [[0, -5]]]])]),
        (plain, "an enormous slot price", "form", [(["plan", "bound", "prices"], [[1, [[0, 2**40 + 1]]]])]),
        (plain, "an enormous price in an offer", "form", [(["offers", 0, "entry", "windows", 0, 2], 2**40 + 1)]),
        (plain, "a slot price of nought", "form", [(["plan", "bound", "prices"], [[1, [[0, 0]]]])]),
        (plain, "slot prices twice", "form", [(["plan", "bound", "prices"], [[1, [[0, 1], [0, 2]]]])]),
        (plain, "a total that is not the sum", "form", [(["plan", "cost", "total"], cost["total"] + 1)]),
        (plain, "a bound beyond 2^53", "form", [(["plan", "bound", "value"], 2**53 - 1), (["plan", "cost"], None)]),
        (plain, "a row twice", "form", [(["plan", "rows"], [*plan["rows"], plan["rows"][-1]])]),
        (plain, "a plan before without a cause", "form", [(["plan", "before"], zero)]),
        (plain, "no plan", "form", [(["plan"], None)]),
        (plain, "a plan for another call", "call", [(["plan", "call"], zero)]),
        (plain, "another due slot in the call", "call", [(["call", "jobs", 0, "due"], 20)]),
        (plain, "an order on an old revision", "call", [(["call", "jobs", 0, "revision"], zero)]),
        (plain, "another weight of lateness", "objective", [(["objective", "tardiness", 0, 1], 0)]),
        (plain, "an offer left out", "offers", [(["plan", "offers"], _without_spare(files[plain]))]),
        (plain, "an offer that nobody made", "offers", [(["plan", "offers"], sorted([*plan["offers"], zero]))]),
        (plain, "an offer that expired", "offers", [(["offers", 0, "entry", "until"], 5)]),
        (plain, "an offer of another's machine", "offers", [(["machines", 0, "owner"], 77)]),
        (plain, "a machine that cannot", "offers", [(["machines", 0, "capability"], [])]),
        (plain, "a machine that nobody knows", "offers", [(["machines"], files[plain]["machines"][1:])]),
        (plain, "a withdrawal left out", "offers", [(["offers"], files[plain]["offers"][:-1])]),
        (
            anchored,
            "an offer anchored too late",
            "offers",
            [(["offers", numbers[0], "anchored", "time"], files[anchored]["call"]["closes"])],
        ),
        (anchored, "an offer that is not in the tree", "offers", [(["offers", numbers[0], "anchored", "root"], zero)]),
        (plain, "an operation without a row", "order", [(["plan", "rows"], plan["rows"][1:])]),
        (plain, "an operation that was not called for", "order", [(["plan", "rows", 5, "operation"], 9)]),
        (plain, "an offer for another operation", "offer", [(["plan", "rows", 0, "offer"], plan["rows"][1]["offer"])]),
        (plain, "an offer that is not listed", "offer", [(["plan", "rows", 0, "offer"], zero)]),
        (plain, "another machine", "machine", [(["plan", "rows", 0, "machine"], row["machine"] % 3 + 1)]),
        (plain, "another owner", "machine", [(["plan", "rows", 0, "owner"], 99)]),
        (plain, "a slot short", "window", [(["plan", "rows", 0, "end"], row["end"] + 1)]),
        (plain, "a price that was not offered", "window", [(["plan", "rows", 0, "price"], row["price"] - 1)]),
        (plain, "other Wh", "window", [(["plan", "rows", 0, "wh"], row["wh"] + 1)]),
        (
            plain,
            "a start after the call's slots",
            "window",
            [(["plan", "rows", 0, "start"], 30), (["plan", "rows", 0, "end"], 30 + row["end"] - row["start"])],
        ),
        (plain, "a leg that is gone", "transport", [(["plan", "legs"], plan["legs"][1:])]),
        (
            plain,
            "a leg a slot too early",
            "transport",
            [(["plan", "legs", 0, "start"], leg["start"] - 1), (["plan", "legs", 0, "end"], leg["end"] - 1)],
        ),
        (plain, "a leg for nothing", "transport", [(["plan", "legs", 0, "cost"], 0)]),
        (plain, "a leg that takes no time", "transport", [(["plan", "legs", 0, "end"], leg["start"])]),
        (
            plain,
            "a part of the cost too low",
            "sums",
            [(["plan", "cost", "price"], cost["price"] - 1), (["plan", "cost", "total"], cost["total"] - 1)],
        ),
        (plain, "a bound a unit too high", "bound", [(["plan", "bound", "value"], plan["bound"]["value"] + 1)]),
        (plain, "a bound a unit too low", "bound", [(["plan", "bound", "value"], plan["bound"]["value"] - 1)]),
        (plain, "a price of a slot that the call lacks", "bound", [(["plan", "bound", "prices"], [[1, [[24, 1]]]])]),
        (
            plain,
            "a price of a machine without offers",
            "bound",
            [(["plan", "bound", "prices"], [*prices, [9, [[0, 1]]]])],
        ),
        (replanned, "a fixed row that moved", "before", [(["before", "rows", 0, "price"], 1)]),
        (replanned, "a row that starts in the past", "slots", _now_after_all(files[replanned])),
        (
            replanned,
            "a fixed row that is not there",
            "before",
            [(["plan", "fixed"], sorted([*files[replanned]["plan"]["fixed"], ["0x" + "ff" * 32, 0]]))],
        ),
    ]
    cases += [(reworked, *case) for case in _rework_cases(files[reworked])]
    cases += _found_cases(files[plain], plain)
    cases.append((tied, "of equal offers the other one", "ties", _other_tie(files[tied])))
    return cases


_ALONE: Change = (["before"], None)
"""A file without the plan before."""


def _rework_cases(file: Any) -> list[tuple[str, str, list[Change]]]:
    [row] = file["plan"]["reworked"]
    cheaper, mine = {**row, "price": row["price"] - 1}, ("plan", "reworked")
    lower = _spending(file, [cheaper], -1)
    dear = _spending(file, [{**row, "price": 2**40}], 2**40 - row["price"])
    cost = {name: value for name, value in file["plan"]["cost"].items() if name != "spent"}
    hidden = {**cost, "price": cost["price"] + file["plan"]["cost"]["spent"]}
    return [
        ("what was reworked was cheaper than in the plan before", "before", lower),
        ("a costly rework makes the gap look small, and the plan before is kept back", "before", [*dear, _ALONE]),
        ("a costly rework makes the gap look small", "before", dear),
        ("a rework, and the plan before is kept back", "before", [_ALONE]),
        ("what was spent counts as part of what was open", "sums", [(["plan", "cost"], hidden)]),
        ("what was spent is said to be nothing", "form", [(["plan", "cost"], {**cost, "spent": 0})]),
        ("an empty list of reworked rows", "form", [([*mine], [])]),
        ("what was reworked costs nothing", "sums", [([*mine], [{**row, "price": 0}])]),
        ("another has the part that is reworked", "machine", [([*mine], [{**row, "owner": row["owner"] + 1}])]),
        ("reworked because a machine went down", "before", [(["plan", "cause", "kind"], "machine-down")]),
        ("reworked, and without a row", "form", [([*mine], [{**row, "operation": 9}])]),
        ("a plan that replaces none and reworks", "form", [(["plan", "before"], None), (["plan", "cause"], None)]),
    ]


def _spending(file: Any, reworked: list[Any], more: int) -> list[Change]:
    """These reworked rows, with cost and bound made to fit: `more` was spent on them."""
    plan, cost = file["plan"], file["plan"]["cost"]
    spent = {**cost, "spent": cost["spent"] + more, "total": cost["total"] + more}
    value = plan["bound"]["value"] + more
    return [(["plan", "reworked"], reworked), (["plan", "cost"], spent), (["plan", "bound", "value"], value)]


def _id_is_used(file: Any, place: int) -> bool:
    parsed = parse_plan_file(canonical_json(file))
    return parsed.plan is not None and parsed.offers[place].id in parsed.plan.offers


def _without_spare(file: Any) -> list[str]:
    used = {row["offer"] for row in file["plan"]["rows"]}
    spare = next(item for item in file["plan"]["offers"] if item not in used)
    return [item for item in file["plan"]["offers"] if item != spare]


def _now_after_all(file: Any) -> list[Change]:
    return [(["plan", "now"], 20)]


def _other_tie(file: Any) -> list[Change]:
    """A tie hash under which the other of two equal offers comes first."""
    for number in range(64):
        tie = "0x" + number.to_bytes(32, "big").hex()
        changed = json.loads(json.dumps(file))
        changed["plan"]["tie"] = tie
        try:
            check_plan(parse_plan_file(canonical_json(changed)))
        except PlanRefusedError as error:
            if error.rule == PlanRule.TIES:
                return [(["plan", "tie"], tie)]
    raise AssertionError("no such hash")


def _found_cases(file: Any, base: str) -> list[tuple[str, str, str, list[Change]]]:
    """Shifts of one row that break the rules of which no row of the file is an example by itself."""
    wanted = {PlanRule.SLOTS: "starts before its release", PlanRule.SEQUENCE: "starts before the one before has ended"}
    wanted |= {PlanRule.OVERLAP: "on a machine that is busy", PlanRule.SETUP: "without time for setup"}
    found: dict[str, list[Change]] = {}
    for place, row in enumerate(file["plan"]["rows"]):
        for start in range(file["call"]["slots"]):
            changes: list[Change] = [
                (["plan", "rows", place, "start"], start),
                (["plan", "rows", place, "end"], start + row["end"] - row["start"]),
                (["plan", "rows", place, "price"], _price(file, row, start)),
                (["plan", "legs"], _moved_legs(file, row, start - row["start"])),
            ]
            changed = json.loads(json.dumps(file))
            for path, value in changes:
                at = changed
                for step in path[:-1]:
                    at = at[step]
                at[path[-1]] = value
            try:
                check_plan(parse_plan_file(canonical_json(changed)))
            except PlanRefusedError as error:
                found.setdefault(error.rule, changes)
            except PlanError:
                continue
    return [(base, name, rule, found[rule]) for rule, name in wanted.items()]


def _price(file: Any, row: Any, start: int) -> int:
    parsed = parse_plan_file(canonical_json(file))
    [offer] = [item.entry for item in parsed.offers if "0x" + item.id.hex() == row["offer"]]
    assert isinstance(offer, Offer)
    price = offer.price_at(start)
    return int(row["price"]) if price is None else price


def _moved_legs(file: Any, row: Any, by: int) -> list[Any]:
    return [
        {**leg, "start": max(0, leg["start"] + by), "end": max(0, leg["start"] + by) + leg["end"] - leg["start"]}
        if (leg["order"], leg["after"]) == (row["order"], row["operation"])
        else leg
        for leg in file["plan"]["legs"]
    ]


if __name__ == "__main__":
    main()
