"""Which operations of a plan are done again, because a certificate failed what they made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from millmark.ledger.errors import InputError
from millmark.ledger.plans.plan import Key
from millmark.ledger.records import AssignmentState, CertificateState, Verdict
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import AssignmentRow, CertificateRow, CertifiedLotRow, LotRow
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.making import Standing

_BEGUN = (AssignmentState.STARTED, AssignmentState.FINISHED)


def find_failed(rows: Rows, standing: Mapping[Key, Standing], certificate: int) -> frozenset[Key]:
    """The operations that made the parts of a failing certificate, by what became of each row of the plan. Nothing is
    done again that is not finished yet: whoever does it can go on.

    Raises InputError if the record is not a failing certificate that stands, if none of its parts is of the plan, or if
    it was reworked since, or if a later operation has begun.
    """
    row = rows.get(CertificateRow, certificate)
    if row is None or Verdict(row.verdict) is not Verdict.FAIL or CertificateState(row.state) in _WITHOUT_FORCE:
        raise InputError(
            PlanningGround.NOT_FAILING.write(certificate=certificate), hint="see `millmark certificates list`"
        )
    found = list(_made_by(rows, standing, certificate))
    if not found:
        raise InputError(
            PlanningGround.NOT_IN_PLAN.write(certificate=certificate),
            hint="name the latest certificate of a part whose operation the plan has",
        )
    keys = {key for key, state in found if state is AssignmentState.FINISHED}
    for order, operation in sorted(keys):
        later = [key for key in standing if key[0] == order and key[1] > operation]
        if any(standing[key].state in _BEGUN for key in later):
            raise InputError(
                PlanningGround.NEXT_BEGUN.write(certificate=certificate, operation=operation + 1),
                hint="have the part inspected after the last operation that was done: that one is done again",
            )
    return frozenset(keys)


_WITHOUT_FORCE = (CertificateState.REVOKED, CertificateState.REFUTED)


def _made_by(
    rows: Rows, standing: Mapping[Key, Standing], certificate: int
) -> Iterator[tuple[Key, AssignmentState | None]]:
    """The rows of the plan under which the certificate's lots are as they are now, each with its state."""
    subjects = {one.lot for one in rows.find(CertifiedLotRow, certificate=certificate)}
    lots = [lot for lot in rows.among(LotRow, "subject", subjects) if lot.assignment and lot.reworked < certificate]
    made = {one.sequence: one for one in rows.among(AssignmentRow, "sequence", {lot.assignment for lot in lots})}
    for lot in lots:
        key = made[lot.assignment].order, made[lot.assignment].operation
        current = standing[key].assignment if key in standing else None
        # A rework that kept the lot's name was done under a later assignment than the one under which it was made.
        if current is not None and (current.sequence == lot.assignment or current.sequence < lot.reworked):
            yield key, standing[key].state
