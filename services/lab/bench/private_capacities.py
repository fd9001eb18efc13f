"""`millmark bench offers`: what it costs that owners show a few windows of each machine, and not their calendars.

The same instances as `millmark bench planning`. On one side the planner knows every slot of every machine; on the other
each owner chooses windows by itself (`services.planning.offers`), without knowing the objective or other owners. Both
sides get the same CPU seconds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from ledger.errors import UnplannableError
from ledger.plans.file import PlanFile
from ledger.plans.offer import Offer
from services.lab.bench.planning_instances import generate_plan_file
from services.planning.offers import choose_windows, count_disclosed
from services.planning.schedule import make_plan

__all__ = ["Private", "compare_offers", "summarise_offers"]

_TIE = bytes(32)


@dataclass(frozen=True, slots=True)
class Private:
    """One instance."""

    orders: int
    seed: int
    cost: int | None
    """On the windows; None if no plan was found on them."""
    full_cost: int
    """With every calendar known."""
    shown: int
    """Slots of all machines that the windows let the planner know as free."""
    free: int
    """Slots that are free."""

    @property
    def ratio(self) -> float | None:
        return None if self.cost is None else self.cost / self.full_cost


def compare_offers(orders: Sequence[int], seeds: Sequence[int], windows: int, cpu_s: float) -> Iterator[Private]:
    """Plan drawn instances on `windows` windows an offer, and on all of them."""
    for count in orders:
        for seed in seeds:
            file = generate_plan_file(count, seed)
            few = show_few(file, windows)
            full = make_plan(file, tie=_TIE, cpu_s=cpu_s).check.plan.cost.total
            yield Private(count, seed, _cost(few, cpu_s), full, _disclosed(few), _disclosed(file))


def show_few(file: PlanFile, windows: int) -> PlanFile:
    """The file with the windows that owners choose, machine by machine."""
    jobs = {job.order: job for job in file.call.jobs}
    loads: dict[int, list[int]] = {}
    offers = []
    for opened in file.offers:
        offer = opened.entry
        if isinstance(offer, Offer):
            job, load = jobs[offer.order], loads.setdefault(offer.machine, [0] * file.call.slots)
            place = offer.operation - job.operations[0].operation
            target = job.release + max(0, job.due - job.release) * place // len(job.operations)
            possible = [window for window in offer.windows if window[1] >= job.release + place]
            chosen = choose_windows(possible, (target, job.due - offer.duration), windows, offer.duration, load)
            opened = replace(opened, entry=replace(offer, windows=tuple(chosen)))
        offers.append(opened)
    return replace(file, offers=tuple(offers))


def _cost(file: PlanFile, cpu_s: float) -> int | None:
    try:
        return make_plan(file, tie=_TIE, cpu_s=cpu_s).check.plan.cost.total
    except UnplannableError:
        return None


def _disclosed(file: PlanFile) -> int:
    return count_disclosed(one.entry for one in file.offers if isinstance(one.entry, Offer))


def summarise_offers(found: Iterable[Private]) -> list[dict[str, object]]:
    """By number of orders: the geometric mean of the ratios, and the median share of free slots that is shown."""
    by_size: dict[int, list[Private]] = {}
    for one in found:
        by_size.setdefault(one.orders, []).append(one)
    return [
        {
            "orders": orders,
            "seeds": len(group),
            "unplanned": sum(one.cost is None for one in group),
            "ratio": _mean([one.ratio for one in group if one.ratio is not None]),
            "worst": max((one.ratio for one in group if one.ratio is not None), default=None),
            "shown_percent": statistics.median(100 * one.shown / one.free for one in group),
            "instances": [asdict(one) for one in group],
        }
        for orders, group in sorted(by_size.items())
    ]


def _mean(ratios: Sequence[float]) -> float | None:
    return math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None
