"""One part of a run: a network, a ledger and four companies, a number of faults, and the judge's comparison."""

from __future__ import annotations

import functools
import json
import random
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from millmark.ledger.chain import HttpTransport
from millmark.ledger.chain.deploying import write_deployment
from millmark.ledger.errors import InputError
from tests.faults.ledger_check import LedgerCheck, Outcome
from tests.faults.network import scenarios
from tests.faults.network.company import CompanyPlan
from tests.faults.network.judge import judge
from tests.faults.network.linked import (
    COMPANIES,
    LinkedNetwork,
    found_companies,
    linked_network,
    network_alone,
    profile_of,
)
from tests.faults.network.links import lab_program, running_gates
from tests.faults.workload import Site
from tests.support.cluster import DurableCluster, durable_cluster

_RECOVERY_S = 120.0
_LATE_S = 10.0
"""Longest time from the engine's recovery until a record is final, beside the depth of finality."""
_PERIOD_S = 1
"""Time between the network's blocks."""
_CALM_S = 4.0
"""Undisturbed work before the first fault."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast companies record, and how long a fault lasts."""

    per_s: float = 8.0
    """Records a second, of each company."""
    least_s: float = 2.0
    most_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault."""

    kind: str
    held_s: float
    engine_s: float
    """Time from its end until all nodes that it concerned showed a block that no node had before."""
    final_s: float
    """Time from then until all companies that it concerned had a record final again."""


@dataclass(frozen=True, slots=True)
class Part:
    """What was done, and what came of it."""

    engine: str
    version: str
    injected: tuple[Injected, ...]
    check: LedgerCheck
    undone_blocks: int
    """Blocks that the companies' indexes took back."""
    reorganised: int
    """Transactions that were in a block, and then were not, as the companies saw it."""
    chain_reorganisations: int
    """Those that geth's nodes logged."""
    troubles: dict[str, int]
    """What the companies' processes met, by error code."""
    broken: tuple[str, ...]
    """What else did not hold, one line each."""
    late: tuple[str, ...] = ()
    """What took longer than it may, one line each: on a busy machine, that may be the machine's doing."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "injected": [asdict(one) for one in self.injected]}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Part:
        injected = tuple(Injected(**one) for one in raw["injected"])
        changed = {
            "injected": injected,
            "check": LedgerCheck(**raw["check"]),
            "broken": tuple(raw["broken"]),
            "late": tuple(raw["late"]),
        }
        return cls(**{**raw, **changed})


def run_part(folder: Path, kinds: Sequence[str], seed: int, pace: Pace | None = None) -> Part:
    """Runs the faults one after the other on a new network. Raises NetworkError, SettingsError and all errors of
    founding."""
    with linked_network(folder, lab_program(), seed) as linked:
        return disturb(linked, folder, kinds, seed, pace or Pace())


def disturb(linked: LinkedNetwork, folder: Path, kinds: Sequence[str], seed: int, pace: Pace) -> Part:
    """Founds a ledger on a network, and runs the faults one after the other. Raises as `run_part` does."""
    with ExitStack() as stack:
        judged = HttpTransport(linked.network.urls[0])
        sites = found_companies(folder, judged, linked.profile, seed)
        urls = [
            linked.network.urls[scenarios.node_of(number, len(linked.network.nodes))] for number in range(COMPANIES)
        ]
        gates = stack.enter_context(running_gates(urls))
        cluster = stack.enter_context(durable_cluster()) if scenarios.NEEDS_POSTGRESQL in kinds else None
        other = _other_network(stack, folder, linked, seed) if scenarios.NEEDS_OTHER in kinds else ""
        restart = None if cluster is None else _restarting(cluster)
        rig = scenarios.Rig(linked, gates, random.Random(seed), other, restart)  # noqa: S311 - a replay needs a seed, not secrecy
        plans = _plan(folder, sites, [gate.url for gate in gates], seed, pace, cluster)
        heads = stack.enter_context(scenarios.watched_heads(linked.network.urls))
        companies = stack.enter_context(scenarios.running_companies(folder, plans))
        time.sleep(_CALM_S)
        late: list[str] = []
        injected = [_inject(kind, rig, heads, companies, pace, late) for kind in kinds]
        broken = _drain(companies)
        judgement = judge(folder, judged, [company.account() for company in companies])
    return _sum_up(linked, injected, companies, judgement.check, [*broken, *judgement.broken], late)


def _other_network(stack: ExitStack, folder: Path, linked: LinkedNetwork, seed: int) -> str:
    """Runs another network, on which the same keys did the same; returns the address of its node."""
    place = folder / "other"
    place.mkdir()
    network = stack.enter_context(network_alone(place, linked.network.program, seed))
    found_companies(place, HttpTransport(network.urls[0]), profile_of(network), seed)
    return network.urls[0]


def _restarting(cluster: DurableCluster) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def restart() -> Iterator[None]:
        cluster.kill()
        yield
        cluster.start()

    return restart


def _plan(
    folder: Path, sites: Sequence[Site], urls: Sequence[str], seed: int, pace: Pace, cluster: DurableCluster | None
) -> list[CompanyPlan]:
    deployment = folder / "deployment.json"
    write_deployment(deployment, sites[0].deployment)
    plans = [
        CompanyPlan(
            number=number,
            url=urls[number],
            engine=site.profile.name,
            deployment=str(deployment),
            database=f"sqlite:///{folder / f'company-{number}.sqlite'}",
            seed=seed,
            key=f"buyer-{number}",
            orders=[order.hex() for order in site.orders],
            per_s=pace.per_s,
        )
        for number, site in enumerate(sites)
    ]
    return plans if cluster is None else [*plans[:-1], replace(plans[-1], database=cluster.url)]


def _inject(
    kind: str,
    rig: scenarios.Rig,
    heads: scenarios.Heads,
    companies: Sequence[scenarios.RunningCompany],
    pace: Pace,
    late: list[str],
) -> Injected:
    began = time.monotonic()
    with scenarios.FAULTS[kind](rig) as concerned:
        time.sleep(rig.chance.uniform(pace.least_s, pace.most_s))
    healed, highest = time.monotonic(), heads.highest()
    nodes = {scenarios.node_of(number, len(rig.linked.network.nodes)) for number in concerned}
    engine_at = _await_all([lambda one=node: heads.shown_at(one, highest, healed) for node in sorted(nodes)])  # type: ignore[misc]
    if engine_at is None:
        late.append(f"{kind}: {_RECOVERY_S:.0f} s after its end there was no new block")
        return Injected(kind, healed - began, _RECOVERY_S, _RECOVERY_S)
    final_at = _await_all([lambda one=companies[number]: one.final_since(engine_at) for number in concerned])  # type: ignore[misc]
    late_s = _LATE_S + rig.linked.depth * _PERIOD_S
    final_s = _RECOVERY_S if final_at is None else final_at - engine_at
    if final_s > late_s:
        late.append(f"{kind}: records final again {final_s:.1f} s after the first new block, {late_s:.0f} are allowed")
    return Injected(kind, round(healed - began, 2), round(engine_at - healed, 2), round(final_s, 2))


def _await_all(looks: Sequence[Callable[[], float | None]]) -> float | None:
    """The latest of the times that these return, once none returns None; None if that takes too long."""
    found: list[float] = []

    def all_there() -> bool:
        seen = [look() for look in looks]
        found[:] = [at for at in seen if at is not None]
        return len(found) == len(looks)

    return max(found) if scenarios.wait_until(all_there, _RECOVERY_S) and found else None


def _drain(companies: Sequence[scenarios.RunningCompany]) -> list[str]:
    for company in companies:
        company.finish()
    return [
        f"company {company.plan.number} did not come to an end: {company.troubles[-1:]}"
        for company in companies
        if not company.await_drained()
    ]


def _sum_up(
    linked: LinkedNetwork,
    injected: Sequence[Injected],
    companies: Sequence[scenarios.RunningCompany],
    check: LedgerCheck,
    broken: Sequence[str],
    late: Sequence[str],
) -> Part:
    troubles = Counter(":".join(said.split(":")[:2]) for company in companies for said in company.troubles)
    logs = (node.folder.log.read_text(errors="replace") for node in linked.network.nodes)
    return Part(
        engine=linked.network.program.kind.name,
        version=linked.network.program.version,
        injected=tuple(injected),
        check=check,
        undone_blocks=sum(company.undone for company in companies),
        reorganised=sum(company.reorganised for company in companies),
        chain_reorganisations=sum(log.count("Chain reorg detected") for log in logs),
        troubles=dict(troubles),
        broken=tuple(broken),
        late=tuple(late),
    )


_A_PART = 16
"""Faults before the judge looks. What is cut off in between is lost, so not many; founding takes half a minute, so not
few."""


def run_network(folder: Path, count: int, seed: int, *, kinds: Sequence[str], keep: Path | None = None) -> Outcome:
    """Injects `count` faults of these kinds in turn, with four companies at work.

    Each part that ends is appended to the file `keep`; those that it has already of the same node program count. Raises
    InputError for another file, NetworkError where no network can run.
    """
    program = lab_program()
    kept = [] if keep is None else read_parts(keep)
    parts = [part for part in kept if (part.engine, part.version) == (program.kind.name, program.version)]
    while (done := sum(len(part.injected) for part in parts)) < count:
        place = folder / str(len(parts))
        place.mkdir()
        sequence = [kinds[number % len(kinds)] for number in range(done, min(done + _A_PART, count))]
        parts.append(run_part(place, sequence, seed + len(parts)))
        if keep is not None:
            _append(keep, parts[-1])
        shutil.rmtree(place)
    return sum_up(parts)


def read_parts(path: Path) -> list[Part]:
    """The parts in a file, which need not exist. Raises InputError."""
    if not path.exists():
        return []
    try:
        return [Part.from_json(json.loads(line)) for line in path.read_text().splitlines()]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(f"{path} has no parts of a run: {error}", hint="name another file") from None


def _append(path: Path, part: Part) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(part.to_json()) + "\n")


def sum_up(parts: Sequence[Part]) -> Outcome:
    """All parts as one run."""
    injected = [one for part in parts for one in part.injected]
    figures: dict[str, float | int] = {
        "parts": len(parts),
        "undone_blocks": sum(part.undone_blocks for part in parts),
        "reorganised_transactions": sum(part.reorganised for part in parts),
        "chain_reorganisations": sum(part.chain_reorganisations for part in parts),
    }
    for kind in dict.fromkeys(one.kind for one in injected):
        these = [one for one in injected if one.kind == kind]
        name = kind.replace("-", "_")
        figures |= {
            f"{name}_engine_p50_s": statistics.median(one.engine_s for one in these),
            f"{name}_engine_max_s": max(one.engine_s for one in these),
            f"{name}_final_p50_s": statistics.median(one.final_s for one in these),
            f"{name}_final_max_s": max(one.final_s for one in these),
        }
    return Outcome(
        engine=" and ".join(dict.fromkeys(f"{part.engine} {part.version}" for part in parts)),
        injected=Counter(one.kind for one in injected),
        check=functools.reduce(LedgerCheck.join, (part.check for part in parts)),
        figures=figures,
        broken=tuple(line for part in parts for line in (*part.broken, *part.late)),
        table=_table(injected, figures),
    )


def _table(injected: Sequence[Injected], figures: dict[str, float | int]) -> tuple[str, ...]:
    """A line for each kind of fault. Times are medians and maxima in seconds."""
    rows = ["| fault | times | engine's recovery, s | records final after it, s |", "|---|---|---|---|"]
    for kind, times in Counter(one.kind for one in injected).items():
        name = kind.replace("-", "_")
        engine, final = (
            f"{figures[f'{name}_{what}_p50_s']:.1f}, at most {figures[f'{name}_{what}_max_s']:.1f}"
            for what in ("engine", "final")
        )
        rows.append(f"| {kind} | {times} | {engine} | {final} |")
    reorganised = f"{figures['chain_reorganisations']} reorganisations logged by nodes"
    return (*rows, f"{reorganised}, {figures['undone_blocks']} blocks taken back by the companies' indexes")
