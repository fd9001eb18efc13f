"""The state of a machine over time: a model of its telemetry, exact in integers, and setpoints proposed with it.

`quality/process/PROCESS.md` specifies the model's bytes, how it is evaluated, and what each figure means. All but
`dynamics` and `training` needs numpy alone, so that setpoints can be proposed where Torch is not installed.
"""

from __future__ import annotations

from millmark.quality.process.arrays import MachineState, Prices, Reason, Refusal
from millmark.quality.process.proposals import Bound, Proposal, Step, propose_setpoint
from millmark.quality.process.records import (
    Column,
    ProcessModel,
    Role,
    System,
    Utilisation,
    build_process_model,
    parse_process_model,
)

__all__ = [
    "Bound",
    "Column",
    "MachineState",
    "Prices",
    "ProcessModel",
    "Proposal",
    "Reason",
    "Refusal",
    "Role",
    "Step",
    "System",
    "Utilisation",
    "build_process_model",
    "parse_process_model",
    "propose_setpoint",
]
