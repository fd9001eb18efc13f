"""What the chain answers about a part: from its whole log, and from what the contracts keep at its latest block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from millmark.ledger.canonical import to_hex
from millmark.ledger.records import CertificateStatus, Contract, LotState
from tests.support.truth.facts import AssignmentFacts, CertificateFacts, Facts
from tests.support.truth.world import TruthWorld

__all__ = ["Answer", "Kept", "LogAnswers"]

_WORK = ("commissioned", "conversion", "rework")
"""How lots come to be by somebody's work: not by being received, split or merged."""

Answer = frozenset[object]


class Kept:
    """What the contracts keep at the latest block of a world that is over: each asked once."""

    def __init__(self, world: TruthWorld) -> None:
        self._chain, self._companies = world.consortium.chain, world.consortium.companies
        self.now_s = world.now()
        self._lots: dict[bytes, Mapping[str, Any]] = {}
        self._statuses: dict[int, CertificateStatus] = {}

    def lot(self, subject: bytes) -> Mapping[str, Any]:
        if subject not in self._lots:
            self._lots[subject] = self._chain.read_struct(Contract.LEDGER, "lotOf", subject)
        return self._lots[subject]

    def status(self, certificate: int) -> CertificateStatus:
        if certificate not in self._statuses:
            value = self._chain.read(Contract.LEDGER, "certificateStatus", certificate)[0]
            self._statuses[certificate] = CertificateStatus(cast(int, value))
        return self._statuses[certificate]

    @cached_property
    def suspended(self) -> set[int]:
        numbers = [company.number for company in self._companies]
        return {one for one in numbers if self._chain.read_struct(Contract.REGISTRY, "participantOf", one)["suspended"]}


@dataclass
class LogAnswers:
    """Answers about one part. Certificates, records and participants are named by numbers, lots by their subjects."""

    kept: Kept
    facts: Facts
    part: bytes
    shown: frozenset[int]
    """The records whose evidence is in the bundle."""
    bundled: frozenset[int]
    """The records that are in the bundle."""

    @cached_property
    def scope(self) -> set[bytes]:
        """The part and what it was made from."""
        return self.facts.scope(self.part)

    @cached_property
    def certificates(self) -> list[CertificateFacts]:
        return list(self.facts.certificates_of(self.scope))

    @cached_property
    def orders(self) -> set[bytes]:
        """The orders that anything of the scope was made in, or belongs to."""
        lots = [self.facts.lots[name] for name in self.scope]
        return {order for lot in lots for order in lot.orders}

    # Verdicts

    def failed(self) -> Answer:
        return frozenset(one.number for one in self.certificates if one.failed)

    def refuted(self) -> Answer:
        return self._having(CertificateStatus.REFUTED)

    def revoked(self) -> Answer:
        return self._having(CertificateStatus.REVOKED)

    def unopened(self) -> Answer:
        """Those whose time is over, and those that were revoked before they were opened."""
        found = (self.facts.certificates[number] for number in self.demanded())
        return frozenset(one.number for one in found if one.deadline <= self.kept.now_s or one.revoked)

    def fallen(self) -> Answer:
        return self._having(CertificateStatus.FALLEN)

    def demanded(self) -> frozenset[int]:
        """Those whose opening was demanded, and that nobody opened, also those that were revoked instead."""
        found = self.certificates
        return frozenset(one.number for one in found if one.demanded and not (one.upheld or one.refuted))

    def _having(self, status: CertificateStatus) -> Answer:
        return frozenset(one.number for one in self.certificates if self.kept.status(one.number) is status)

    # What happened to the part itself, by records

    def passed_at(self) -> Answer:
        return frozenset(one.number for one in self._own_certificates() if not one.failed)

    def failed_at(self) -> Answer:
        return frozenset(one.number for one in self._own_certificates() if one.failed)

    def demanded_at(self) -> Answer:
        return self._happened("OpeningDemanded")

    def upheld_at(self) -> Answer:
        return self._happened("CertificateUpheld")

    def refuted_at(self) -> Answer:
        return self._happened("CertificateRefuted")

    def revoked_at(self) -> Answer:
        return self._happened("CertificateRevoked")

    def quarantined_at(self) -> Answer:
        return self._happened("LotQuarantined")

    def released_at(self) -> Answer:
        return self._happened("LotReleased")

    def reworked_at(self) -> Answer:
        return frozenset(record for record, _ in self.facts.lots[self.part].reworked_at)

    def _own_certificates(self) -> list[CertificateFacts]:
        return [self.facts.certificates[number] for number in self.facts.lots[self.part].certificates]

    def _happened(self, kind: str) -> Answer:
        return frozenset(one for one in self.facts.lots[self.part].records if self.facts.kinds[one] == kind)

    # Measurements

    def reused(self) -> Answer:
        """Records of the bundle that name one measurement."""
        found: set[object] = set()
        for records in self.facts.measured.values():
            several = [one for one in records if one in self.bundled]
            if any(self._suspicious(one, two) for one, two in itertools.combinations(several, 2)):
                found.add(frozenset(several))
        return frozenset(found)

    def _suspicious(self, one: int, two: int) -> bool:
        """Whether two records should not name one measurement: any two, but an operation and a certificate of what was
        made in it."""
        certificates = self.facts.certificates
        if (one in certificates) is (two in certificates):
            return True
        finished, certificate = (two, one) if one in certificates else (one, two)
        [job] = [job for job in self.facts.assignments.values() if job.finished == finished]
        return not set(certificates[certificate].lots) <= set(job.lots)

    def unmeasured(self) -> Answer:
        """Of all of the bundle."""
        named = {number for records in self.facts.measured.values() for number in records}
        return frozenset((named & self.bundled) - self.shown)

    def outdated(self) -> Answer:
        """Certificates on an entry that was anchored before the work on their lot began, or its rework."""
        found = set()
        for certificate in self.certificates:
            stream, index = certificate.statement.stream, certificate.statement.leaf_index
            since = max(self._worked_on(lot, certificate.number) for lot in certificate.lots if lot in self.scope)
            before = (size for record, name, size in self.facts.anchored if name == stream and record <= since)
            if index < max(before, default=0):
                found.add(certificate.number)
        return frozenset(found)

    def _worked_on(self, lot: bytes, certificate: int) -> int:
        """The record since which a lot was what was certified: of the start of its latest work, or of a rework."""
        told = self.facts.lots[lot]
        work = [self.facts.assignments[number].started for record, number in told.work if record < certificate]
        reworks = [record for record, _ in told.reworked_at if record < certificate]
        return max([*work[-1:], *reworks, *([told.records[0]] if told.how == "rework" else [])], default=0)

    # Making

    def maker(self) -> Answer:
        lot = self.facts.lots[self.part]
        return frozenset({(lot.creator, lot.how)})

    def ancestors(self) -> Answer:
        return frozenset(to_hex(name) for name in self.facts.ancestors(self.part))

    def made_of_it(self) -> Answer:
        return frozenset(to_hex(name) for name in self.facts.lots[self.part].made)

    def received(self) -> Answer:
        """Lots from outside, and who received them."""
        lots = [self.facts.lots[name] for name in self.scope]
        return frozenset((to_hex(lot.subject), lot.creator) for lot in lots if lot.how == "received")

    def machines(self) -> Answer:
        """Of the part itself."""
        return frozenset(one.machine for one in self._work_on(self.part))

    def machines_of_ancestors(self) -> Answer:
        return frozenset(one.machine for name in self.facts.ancestors(self.part) for one in self._work_on(name))

    def own_work(self) -> Answer:
        """Certificates by a company that made the lot, or something that it was made from, or worked in its orders."""
        found = set()
        for certificate in self.certificates:
            for lot in certificate.lots:
                if lot in self.scope and certificate.issuer in self._workers(lot):
                    found.add(certificate.number)
        return frozenset(found)

    def _workers(self, lot: bytes) -> set[int]:
        """Who made it or something that it was made from, or started an operation of an order that it was in."""
        lots = [self.facts.lots[name] for name in self.facts.scope(lot)]
        orders = self.facts.lots[lot].orders
        began = (one for one in self.facts.assignments.values() if one.order in orders and one.stream)
        workers = {one.owner for one in began} | {one.creator for one in lots if one.how in _WORK}
        return workers | {by for one in lots for _, by in one.reworked_at}

    def siblings(self) -> Answer:
        """Other lots made under the same assignments."""
        found = {name for one in self._work_on(self.part) for name in one.lots}
        return frozenset(to_hex(name) for name in found - {self.part})

    def inputs(self) -> Answer:
        return frozenset(to_hex(name) for name in self.facts.lots[self.part].sources)

    def owners(self) -> Answer:
        return frozenset(one.owner for name in self.scope for one in self._work_on(name))

    def _work_on(self, lot: bytes) -> list[AssignmentFacts]:
        return [self.facts.assignments[number] for _, number in self.facts.lots[lot].work]

    # Standing

    def order(self) -> Answer:
        order = self.facts.lots[self.part].order
        return frozenset() if order is None else frozenset({(to_hex(order), self.facts.orders[order])})

    def standing(self) -> Answer:
        """State, quantity and unit."""
        kept = self.kept.lot(self.part)
        state, unit = LotState(kept["state"]).name.lower(), kept["unit"].rstrip(b"\0").decode()
        return frozenset({(state, kept["quantity"], unit)})

    def holder(self) -> Answer:
        kept, lots = self.kept.lot(self.part), [self.kept.lot(name) for name in self.facts.lots]
        while kept["packed"]:
            kept = next(one for one in lots if one["number"] == kept["holder"])
        return frozenset({kept["holder"]})

    def quarantined(self) -> Answer:
        """Lots of the scope that are set apart, and by whom."""
        return frozenset((to_hex(name), by) for name, by in self._apart())

    def quarantined_part(self) -> Answer:
        return frozenset(by for name, by in self._apart() if name == self.part)

    def _apart(self) -> Iterator[tuple[bytes, int]]:
        for name in self.scope:
            kept = self.kept.lot(name)
            if LotState(kept["state"]) in (LotState.QUARANTINED, LotState.RETURNING):
                yield name, kept["counterparty"]

    # What was said

    def notes(self) -> Answer:
        return frozenset(number for number, names in self.facts.notes if set(names) & (self.scope | self.orders))

    def waived(self) -> Answer:
        return frozenset(record for record, lot in self.facts.waivers.items() if lot in self.scope)

    def corrected(self) -> Answer:
        return frozenset(self.facts.superseded.keys() & self.bundled)

    def _companies(self) -> set[int]:
        """Those who made the bundle's records, or are named there."""
        return {number for record in self.bundled for number in self.facts.companies[record]}

    def suspended(self) -> Answer:
        """Companies that may not act, of those that these records are by or name."""
        return frozenset(self.kept.suspended & self._companies())
