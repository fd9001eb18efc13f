"""Settings found by the model of a machine's process, put into the inbox of its operator.

A company that has such models keeps them in its home, in `process/MACHINE/` by the machine's number: `model.bin` and
`terms.toml` as `python -m millmark.quality process` reads them, and `telemetry.csv`, whose latest rows something else
writes there. Nothing is proposed on telemetry that is old, or where the model must not speak
(`millmark.quality.process.arrays`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from millmark.ledger.errors import MillmarkError
from millmark.quality.errors import QualityError
from millmark.services.planning import calendar, reading
from millmark.services.planning.feedback.causes import MachineCause, Sentence
from millmark.services.planning.feedback.repository import FeedbackRepository
from millmark.services.planning.feedback.taking import Answer, Proposed, Unproposed
from millmark.services.setpoints.document import Forecast, SetpointDocument, SetpointValue
from millmark.services.setpoints.inbox import SetpointState, describe_value, find_answer, state_of
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow

if TYPE_CHECKING:
    from millmark.quality.process import Proposal
    from millmark.quality.process.proposals import Outcome

FOLDER = "process"
_OPEN_S = 8 * 3600
"""For how long a proposal can be accepted: a shift."""
_MARK, _MOST_CAUSE = 16, 200
"""Digits by which a proposal names its cause, and most characters of all that it says of it."""
_OPERATOR = "the operator"
MOST_READ = 5
"""How often it is tried to read telemetry that cannot be read."""
_UNANSWERED = {SetpointState.EXPIRED: Sentence.EXPIRED, SetpointState.SUPERSEDED: Sentence.SUPERSEDED}


@dataclass(frozen=True, slots=True)
class InboxProposer:
    """Proposes settings from the models in a home, priced in the unit of its calendar."""

    home: Path
    me: int
    """Participant."""
    _found: dict[bytes, SetpointDocument | Unproposed] = field(default_factory=dict)
    """By cause: what was looked for last."""
    _unread: dict[bytes, int] = field(default_factory=dict)
    """By cause: how often telemetry could not be read."""

    def search(self, causes: Sequence[MachineCause], now_s: int) -> None:
        """Looks for settings. Where telemetry cannot be read, there is nothing yet: it may be half written."""
        found = {cause.id: self._search(cause, now_s) for cause in causes}
        unread = {name: self._unread.get(name, 0) + 1 for name, one in found.items() if isinstance(one, str)}
        for kept in (self._found, self._unread):
            kept.clear()
        for name, one in found.items():
            if not isinstance(one, str):
                self._found[name] = one
            elif unread[name] >= MOST_READ:
                self._found[name] = _unusable(one)
            else:
                self._unread[name] = unread[name]

    def propose(self, tables: reading.PlanningTables, cause: MachineCause, now_s: int) -> Proposed | Unproposed | None:
        """Puts what was found into the inbox, or says why there is nothing."""
        document = self._found.get(cause.id)
        if document is None or isinstance(document, Unproposed):
            return document
        repository = SetpointRepository(tables.rows)
        stream = tables.stream(self.me, cause.machine).subject
        place = repository.next_number(), cause.machine, stream, document.digest, document.build().decode()
        repository.add(SetpointRow(*place, now_s, now_s + _OPEN_S))
        return Proposed("; ".join(map(describe_value, document.values)))

    def _search(self, cause: MachineCause, now_s: int) -> SetpointDocument | Unproposed | str:
        """A text says why telemetry cannot be read."""
        folder = self.home / FOLDER / str(cause.machine)
        if not folder.is_dir():
            return Unproposed(Sentence.NO_MODEL.write())
        if importlib.util.find_spec("numpy") is None:
            return Unproposed(Sentence.NO_QUALITY.write())
        from millmark.services.planning.feedback.process_search import find_setting  # noqa: PLC0415 - numpy is optional

        try:
            unit, found = calendar.read_calendar(self.home).file.unit, find_setting(folder, now_s)
            if isinstance(found, Unproposed | str):
                return found
            return _document(cause, found, unit)
        except (QualityError, MillmarkError, OSError) as error:
            return _unusable(str(error))

    def answer(self, tables: reading.PlanningTables, cause: bytes, now_s: int) -> Answer | None:
        """The answer in the machine's evidence. A proposal that nobody answered in time counts as refused."""
        row = FeedbackRepository(tables.connection).cause(cause)
        repository = SetpointRepository(tables.rows)
        listed = [] if row is None else repository.latest(100, row.machine)
        # How a proposal that names its cause ends.
        ending = Sentence.BECAUSE.write(kind="", cause="", mark=cause.hex()[:_MARK]).removeprefix(": ")
        found = next((one for one in listed if one.parse().cause.endswith(ending)), None)
        if found is None:
            return None
        state = state_of(tables.book, repository, found, now_s)
        if state is SetpointState.OPEN:
            return None
        if state in _UNANSWERED:
            return Answer(False, now_s, "", _UNANSWERED[state].write())
        said = find_answer(tables.book, found)
        reason = "" if said is None else str(said[1].get("reason", ""))
        return Answer(state is SetpointState.ACCEPTED, now_s, _OPERATOR, reason)


def _unusable(why: str) -> Unproposed:
    return Unproposed(Sentence.UNUSABLE.write(error=why[:120]))


def _document(cause: MachineCause, found: Proposal, unit: str) -> SetpointDocument | Unproposed:
    changed = [name for name, value in found.setpoints.items() if value != found.present[name]]
    if not changed:
        return Unproposed(Sentence.LATER_MOVES.write())
    values = (SetpointValue(name, found.decimals[name], found.present[name], found.setpoints[name]) for name in changed)
    kind, mark = cause.kind.value, cause.id.hex()[:_MARK]
    room = _MOST_CAUSE - len(Sentence.BECAUSE.write(kind=kind, cause="", mark=mark))
    return SetpointDocument(
        cause.machine,
        found.model,
        tuple(values),
        found.horizon_s,
        _forecast(found.expected),
        _forecast(found.kept),
        unit,
        Sentence.BECAUSE.write(kind=kind, cause=cause.text[:room], mark=mark),
    )


def _forecast(one: Outcome) -> Forecast:
    return Forecast(one.cost, one.energy_wh, one.eta_ppm, one.e_ppm)
