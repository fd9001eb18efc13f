"""Energy and emissions of lots, from register readings to `passport.footprint`. See FOOTPRINT.md.

Pure arithmetic in integers: Wh and mg CO2e. Nothing here reads a database, a clock or a chain; the verifier uses it.
"""

from millmark.ledger.footprint.amounts import ALL, NOTHING, Amounts, Part, share_of
from millmark.ledger.footprint.contributions import Contribution, Source, find_contributions
from millmark.ledger.footprint.document import PATH, Footprint, Other, Own, Share, parse_footprint
from millmark.ledger.footprint.factors import Factor, FactorKind, FactorTable, parse_factors
from millmark.ledger.footprint.readings import (
    RegisterEntry,
    build_register_data,
    is_register_alone,
    parse_register_entry,
    register_event_id,
    resets_among,
    verify_pair,
    wh_between,
)
from millmark.ledger.footprint.registers import MAX_POWER_W, Allocation, Moment, Note, Noted, Reading, Segment, allocate
from millmark.ledger.footprint.steps import Step, Taken, build_footprint, expected_kept, expected_part

__all__ = [
    "ALL",
    "MAX_POWER_W",
    "NOTHING",
    "PATH",
    "Allocation",
    "Amounts",
    "Contribution",
    "Factor",
    "FactorKind",
    "FactorTable",
    "Footprint",
    "Moment",
    "Note",
    "Noted",
    "Other",
    "Own",
    "Part",
    "Reading",
    "RegisterEntry",
    "Segment",
    "Share",
    "Source",
    "Step",
    "Taken",
    "allocate",
    "build_footprint",
    "build_register_data",
    "expected_kept",
    "expected_part",
    "find_contributions",
    "is_register_alone",
    "parse_factors",
    "parse_footprint",
    "parse_register_entry",
    "register_event_id",
    "resets_among",
    "share_of",
    "verify_pair",
    "wh_between",
]
