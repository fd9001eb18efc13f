"""Says what the check of a plan file found, in lines and as JSON, and prints it.

Exit codes: 0 the plan holds, 1 refused (rule and row), 2 the input cannot be used, 3 nothing could be printed.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import MillmarkError, PlanError, PlanRefusedError
from millmark.ledger.plans.check import PlanCheck, check_plan, jain_per_mille
from millmark.ledger.plans.file import MAX_PLAN_FILE_BYTES, PlanFile, parse_plan_file
from millmark.ledger.plans.plan import Plan
from millmark.ledger.terminal import NO_ANSWER, write

FORMAT: Final = "millmark.plan.check/1"
"""As of all commands that print JSON; millmark.services.output, which names theirs, may not be there."""


def read_plan_file(path: Path) -> PlanFile:
    """Read and parse a plan file. Raises PlanError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PLAN_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "not a path"
        raise PlanError(f"cannot read {path}: {cause}", hint="name a plan file") from None
    return parse_plan_file(data)


def tell_check(path: Path, *, as_json: bool) -> int:
    """Check the plan file at `path`, print what was found, and return the exit code."""
    try:
        file = read_plan_file(path)
        found = check_plan(file)
    except PlanRefusedError as error:
        if as_json:
            write(sys.stdout, _as_text(_refusal(error)) + "\n")
        write(sys.stderr, f"millmark: REFUSED {error}\n")
        return error.exit_code
    except MillmarkError as error:
        write(sys.stderr, f"millmark: {error}\n")
        return error.exit_code
    shown = _as_text(check_to_json(file, found)) if as_json else "\n".join(check_lines(file, found))
    if not write(sys.stdout, f"{shown}\n"):
        write(sys.stderr, "millmark: the answer cannot be written; check the output and its disk\n")
        return NO_ANSWER
    return 0


def _as_text(members: dict[str, Json]) -> str:
    return json.dumps({"format": FORMAT, **members}, indent=2)


def check_lines(file: PlanFile, found: PlanCheck) -> Iterator[str]:
    """What was found, for people."""
    plan, cost, unit = found.plan, found.plan.cost, file.call.unit
    machines, owners = {row.machine for row in plan.rows}, {row.owner for row in plan.rows}
    yield f"plan {to_hex(plan.digest)}"
    yield (
        f"feasible: {len(plan.rows)} operations of {len(file.call.jobs)} orders on {len(machines)} machines of "
        f"{len(owners)} companies, {len(plan.legs)} legs"
    )
    yield (
        f"cost: {cost.total} {unit} (price {cost.price}, transport {cost.transport}, tardiness {cost.tardiness}, "
        f"carbon {cost.carbon})"
    )
    yield (
        f"bound: {plan.bound.value} {unit}; no plan on these {len(plan.offers)} offers{_what_stays(plan)} is cheaper "
        f"than that, so none is more than {per_cent(found.gap_per_mille)} cheaper than this one"
    )
    shares = found.shares()
    yield "used of the slots offered: " + ", ".join(f"company {s.owner} {s.used} of {s.offered}" for s in shares)
    yield f"evenness of that (Jain's index): {jain_per_mille(shares) / 1000:.3f}"
    if found.moved is not None and file.before is not None:
        yield f"moved: {found.moved} of {len(file.before.rows)} rows of the plan before"
    if plan.reworked:
        yield (
            f"reworked: {len({row.key for row in plan.reworked})} operations, on which {cost.spent} {unit} were spent: "
            "part of cost and bound, and left out of the percentage"
        )
    yield from _set_aside(plan, file.before)
    for reason, count in sorted(Counter(found.counted.refused.values()).items()):
        yield f"not counted: {count} offers, {reason}"
    for line in found.not_checked:
        yield f"not checked: {line}"


def _set_aside(plan: Plan, before: Plan | None) -> Iterator[str]:
    """A plan names what earlier ones set aside, too, of which its cause took nothing away."""
    if before is None:
        if plan.dropped:
            yield f"set aside: {len(plan.dropped)} offers, by this plan or those before"
        return
    new = len(plan.newly_dropped(before))
    if new and plan.cause is not None:
        yield f"set aside: {new} offers, by the cause {plan.cause.kind.value}"
    if earlier := len(plan.dropped) - new:
        yield f"set aside by earlier plans: {earlier} offers"


def check_to_json(file: PlanFile, found: PlanCheck) -> dict[str, Json]:
    """What was found, for programs."""
    shares = found.shares()
    return {
        "holds": True,
        "plan": to_hex(found.plan.digest),
        "call": to_hex(found.plan.call),
        "unit": file.call.unit,
        "cost": found.plan.cost.to_json(),
        "bound": found.plan.bound.value,
        "gap_per_mille": found.gap_per_mille,
        "rows": len(found.plan.rows),
        "offers": len(found.plan.offers),
        "not_counted": {to_hex(identifier): reason for identifier, reason in found.counted.refused.items()},
        "shares": [{"owner": share.owner, "offered": share.offered, "used": share.used} for share in shares],
        "jain_per_mille": jain_per_mille(shares),
        "moved": found.moved,
        "not_checked": list(found.not_checked),
    }


def per_cent(per_mille: int) -> str:
    """A part of the whole with one decimal: `3.1 %`."""
    return f"{per_mille // 10}.{per_mille % 10} %"


def _what_stays(plan: Plan) -> str:
    """What a plan that replaces another one takes as given: its bound says nothing about plans that change that."""
    if plan.before is None:
        return ""
    return f" that keeps the {len(plan.fixed)} fixed rows and starts all others in slot {plan.now} or later"


def _refusal(error: PlanRefusedError) -> dict[str, Json]:
    return {
        "holds": False,
        "rule": error.rule,
        "order": None if error.order is None else to_hex(error.order),
        "operation": error.operation,
        "cause": error.cause,
    }
