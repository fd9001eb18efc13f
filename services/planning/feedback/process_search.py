"""Looks for a machine's setting by the model of its process. Needs numpy."""

from __future__ import annotations

from pathlib import Path

from millmark.quality.errors import QualityError
from millmark.quality.model import MAX_MODEL_BYTES
from millmark.quality.process import MachineState, Proposal, parse_process_model, propose_setpoint
from millmark.quality.process.proposals import MAX_BYTES, parse_terms
from millmark.quality.process.telemetry import load_telemetry, read_as
from millmark.services.files import read_bounded
from millmark.services.planning.feedback.causes import Sentence
from millmark.services.planning.feedback.taking import Unproposed

_OLD_S = 3600
_MOST_BYTES = 8 << 20
"""Longest telemetry that is read."""


def find_setting(folder: Path, now_s: int) -> Proposal | Unproposed | str:
    """A text says why telemetry cannot be read now. Raises QualityError, MillmarkError and OSError."""
    model = parse_process_model(read_bounded(folder / "model.bin", MAX_MODEL_BYTES))
    terms = parse_terms(read_bounded(folder / "terms.toml", MAX_BYTES), model)
    try:
        if (folder / "telemetry.csv").stat().st_size > _MOST_BYTES:
            return Unproposed(Sentence.LONG_TELEMETRY.write(size=_MOST_BYTES >> 20))
        telemetry = load_telemetry([folder / "telemetry.csv"], model.step_s)
    except (QualityError, OSError) as error:
        return str(error)
    if telemetry.times[-1] > now_s + model.step_s:
        return Unproposed(Sentence.LATER_TELEMETRY.write())
    if telemetry.times[-1] < now_s - _OLD_S:
        return Unproposed(Sentence.OLD_TELEMETRY.write(minutes=(now_s - int(telemetry.times[-1])) // 60))
    rows = read_as(model.columns, telemetry)[telemetry.run == telemetry.run[-1]]
    state = MachineState(rows.tolist(), terms.arrivals, terms.overhauled_at)
    found = propose_setpoint(model, state, terms.bounds, terms.limits, terms.prices, terms.step)
    return found if isinstance(found, Proposal) else Unproposed(Sentence.NOT_PROPOSED.write(error=found.cause)[:200])
