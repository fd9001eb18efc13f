"""Settings found by the model of a machine's process, put into the inbox of its operator.

A company that has such models keeps them in its home, in `process/MACHINE/` by the machine's number: `model.bin` and
`terms.toml` as `python -m quality process` reads them, and `telemetry.csv`, whose latest rows something else writes
there. Nothing is proposed on telemetry that is old, or where the model must not speak (`quality.process.watching`).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.canonical import to_hex
from ledger.errors import MillmarkError
from services.files import read_bounded
from services.planning.calendar import read_calendar
from services.planning.feedback.causes import MachineCause
from services.planning.feedback.repository import FeedbackRepository
from services.planning.feedback.setpoints import Answer, Proposed, Unproposed
from services.planning.shelf import Shelf
from services.setpoints.document import Forecast, SetpointDocument, SetpointValue
from services.setpoints.repository import SetpointRepository, SetpointRow
from services.setpoints.views import SetpointState, describe_value, find_answer, state_of

if TYPE_CHECKING:
    from quality.process import Proposal, Refusal
    from quality.process.proposals import Outcome

__all__ = ["FOLDER", "InboxDesk"]

FOLDER = "process"
_OPEN_S = 8 * 3600
"""For how long a proposal can be accepted: a shift."""
_OLD_S = 3600
_MOST_BYTES = 8 << 20
"""Of telemetry: a proposal is looked for within a transaction."""


@dataclass(frozen=True, slots=True)
class InboxDesk:
    """Proposes settings from the models in a home, priced in the unit of its calendar."""

    home: Path
    me: int
    """Participant."""

    def propose(self, shelf: Shelf, cause: MachineCause, now_s: int) -> Proposed | Unproposed:
        """Puts a proposal into the inbox, or says why there is none."""
        folder = self.home / FOLDER / str(cause.machine)
        if not folder.is_dir():
            return Unproposed("there is no model of the machine's process")
        if importlib.util.find_spec("numpy") is None:
            return Unproposed("the model of the machine's process needs millmark[quality]")
        from quality.errors import QualityError  # noqa: PLC0415 - numpy is optional

        try:
            unit, found = read_calendar(self.home).file.unit, _search(folder, now_s)
        except (QualityError, MillmarkError, OSError) as error:
            return Unproposed(f"the model of the machine's process cannot be used: {str(error)[:120]}")
        if isinstance(found, Unproposed):
            return found
        document = _document(cause, found, unit)
        repository = SetpointRepository(shelf.rows)
        stream = shelf.stream(self.me, cause.machine).subject
        place = repository.next_number(), cause.machine, stream, document.digest, document.build().decode()
        repository.add(SetpointRow(*place, now_s, now_s + _OPEN_S))
        return Proposed("; ".join(map(describe_value, document.values)))

    def answer(self, shelf: Shelf, cause: bytes, now_s: int) -> Answer | None:
        """The answer in the machine's evidence. A proposal that nobody answered in time counts as refused."""
        row = FeedbackRepository(shelf.connection).cause(cause)
        repository = SetpointRepository(shelf.rows)
        listed = [] if row is None else repository.latest(100, row.machine)
        mark = _mark(cause)
        found = next((one for one in listed if one.parse().cause.endswith(mark)), None)
        if found is None:
            return None
        state = state_of(shelf.book, repository, found, now_s)
        if state is SetpointState.OPEN:
            return None
        if state in (SetpointState.EXPIRED, SetpointState.SUPERSEDED):
            return Answer(False, now_s, "nobody", f"it was {state.value} before it was answered")
        said = find_answer(shelf.book, found)
        reason = "" if said is None else str(said[1].get("reason", ""))
        return Answer(state is SetpointState.ACCEPTED, now_s, "the operator", reason)


def _search(folder: Path, now_s: int) -> Proposal | Unproposed:
    from quality.model import MAX_MODEL_BYTES  # noqa: PLC0415 - as above
    from quality.process import MachineState, Proposal, parse_process_model, propose_setpoint  # noqa: PLC0415 - numpy
    from quality.process.telemetry import load_telemetry, read_as  # noqa: PLC0415 - as above
    from quality.process.terms import MAX_BYTES, parse_terms  # noqa: PLC0415 - as above

    model = parse_process_model(read_bounded(folder / "model.bin", MAX_MODEL_BYTES))
    terms = parse_terms(read_bounded(folder / "terms.toml", MAX_BYTES), model)
    if (folder / "telemetry.csv").stat().st_size > _MOST_BYTES:
        return Unproposed(f"its telemetry has more than {_MOST_BYTES >> 20} MiB: keep the latest rows alone there")
    telemetry = load_telemetry([folder / "telemetry.csv"], model.step_s)
    if telemetry.times[-1] < now_s - _OLD_S:
        return Unproposed(f"its telemetry ended {(now_s - int(telemetry.times[-1])) // 60} min ago")
    rows = read_as(model.columns, telemetry)[telemetry.run == telemetry.run[-1]]
    state = MachineState(rows.tolist(), terms.arrivals, terms.overhauled_at)
    found: Proposal | Refusal = propose_setpoint(model, state, terms.bounds, terms.limits, terms.prices, terms.step)
    return found if isinstance(found, Proposal) else Unproposed(f"no settings are proposed: {found.cause}"[:200])


def _document(cause: MachineCause, found: Proposal, unit: str) -> SetpointDocument:
    changed = [name for name, value in found.setpoints.items() if value != found.present[name]]
    values = (SetpointValue(name, found.decimals[name], found.present[name], found.setpoints[name]) for name in changed)
    mark = _mark(cause.id)
    return SetpointDocument(
        cause.machine,
        found.model,
        tuple(values),
        found.horizon_s,
        _forecast(found.expected),
        _forecast(found.kept),
        unit,
        f"{cause.kind.value}: {cause.text}"[: 200 - len(mark)] + mark,
    )


def _mark(cause: bytes) -> str:
    """How a proposal names its cause."""
    return f" ({to_hex(cause)[:18]})"


def _forecast(one: Outcome) -> Forecast:
    return Forecast(one.cost, one.energy_wh, one.eta_ppm, one.e_ppm)
