"""Every declared kind of record is handled wherever a kind must be, see ledger/EVENTS.md; what is missing is named."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from millmark.ledger.chain import load_abi
from millmark.ledger.events import EVENTS, Event, LedgerEvent, signature_of
from millmark.ledger.index.projections import PROJECTIONS
from millmark.ledger.records import RECORD_TYPES, ClaimsRoot, Contract, Record
from millmark.ledger.verify._replay import RULES
from millmark.services.acts import ACTS, NO_ACTS

ROOT = Path(__file__).parents[3]
Handled: TypeAlias = "Callable[[type[Event]], bool]"

UNREACHED = {
    "ParticipantAdmitted": "the campaigns begin with their participants",
    "OwnershipOffered": "the campaigns keep one owner",
    "OwnershipAccepted": "the campaigns keep one owner",
    "Closed": "nothing new would be recorded in the rest of the run",
}
"""Kinds that no action of the Solidity campaigns makes, and why."""


@functools.cache
def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def written_in(*paths: str) -> Handled:
    """Whether one of these files has the kind's name."""
    return lambda kind: any(re.search(rf"\b{kind.__name__}\b", text(path)) for path in paths)


def record_of(kind: type[Event]) -> type[Record] | None:
    """The call that leaves the event behind."""
    calls = [one for one in RECORD_TYPES if one.contract is kind.contract]
    return next((one for one in calls if kind.__name__ in (one.event, one.or_event)), None)


def called_in(*paths: str) -> Handled:
    """Whether one of these files has the record that leaves the event behind, by its name in Python or Solidity."""

    def handled(kind: type[Event]) -> bool:
        record = record_of(kind)
        if record is None:
            return False
        name = record.__name__
        names = rf"\b({name}|{name[0].lower()}{name[1:]})\b"
        return any(re.search(names, text(path)) for path in paths)

    return handled


def in_the_abi(kind: type[Event]) -> bool:
    return any(entry["type"] == "event" and entry["name"] == kind.__name__ for entry in load_abi(kind.contract))


def judged(kind: type[Event]) -> bool:
    return not kind.in_histories or kind in RULES


def asked_for(kind: type[Event]) -> bool:
    record = record_of(kind)
    return record is not None and record.__name__ in {one.kind for one in ACTS.values()} | NO_ACTS.keys()


def in_the_document(kind: type[Event]) -> bool:
    """With its signature, and with its fields in the table behind."""
    document = text("ledger/BUNDLE.md")
    in_table = re.search(rf"^\|[^|]*\b{kind.__name__}\b[^|]*\|", document, re.MULTILINE)
    return not kind.in_histories or (f"    {signature_of(kind)}\n" in document and in_table is not None)


def in_the_page(kind: type[Event]) -> bool:
    return f"\n**{kind.__name__}**\n" in text("ledger/VISIBLE.md")


def translated(kind: type[Event]) -> bool:
    return kind.__name__ in json.loads(text("services/portal/catalogue/visible.zh.json"))


def measured(kind: type[Event]) -> bool:
    record = record_of(kind)
    if kind.contract is Contract.REGISTRY:
        return True
    return record is not None and any(name.split(" (")[0] == record.__name__ for name in json.loads(GAS))


def replayed(kind: type[Event]) -> bool:
    return any(re.search(rf"\b{kind.__name__}\.selector", path.read_text()) for path in REPLAYS)


def reached(kind: type[Event]) -> bool:
    listed = any(re.search(rf"kinds\[\d+\] = \w+\.{kind.__name__}\.selector;", path.read_text()) for path in CAMPAIGNS)
    return kind.__name__ in UNREACHED or listed


GAS = (ROOT / "tests" / "vectors" / "gas.json").read_text()
REPLAYS = sorted((ROOT / "contracts" / "test" / "replay").glob("*.sol"))
CAMPAIGNS = sorted((ROOT / "contracts" / "test" / "invariant").glob("*.sol"))
TOLD = "tests/support/bundle_world.py"
PLACES: dict[str, Handled] = {
    "contracts/src/interfaces, scripts/compile_contracts: an event of the ABI": in_the_abi,
    "contracts/test/AccessRows.sol: a row": called_in("contracts/test/AccessRows.sol"),
    "contracts/test/replay: what the event does to the state": replayed,
    "contracts/test/invariant: in the list of what a campaign reaches, or UNREACHED with a reason": reached,
    "ledger/records: the call that leaves it behind": lambda kind: record_of(kind) is not None,
    "ledger/index/projections: a projection": lambda kind: kind in PROJECTIONS,
    "ledger/verify: a rule": judged,
    "ledger/BUNDLE.md: signature and fields": in_the_document,
    "ledger/VISIBLE.md: its fields": in_the_page,
    "services/portal/catalogue/visible.zh.json: its name": translated,
    "services/acts: an act, or in NO_ACTS a reason": asked_for,
    "tests/bench/gas.py, tests/vectors/gas.json: what it costs": measured,
    "tests/support/fake_ledger.py or bundle_world.py, test_index_projections.py: told to the index": lambda kind: (
        written_in("tests/support/fake_ledger.py", "tests/unit/ledger/test_index_projections.py")(kind)
        or (kind.in_histories and called_in(TOLD)(kind))
    ),
    "tests/support/bundle_world.py: told on a chain, for forgeries and replay": lambda kind: (
        not kind.in_histories or called_in(TOLD)(kind)
    ),
}
"""What a kind needs where, and how it is seen to be there."""


def missing_of(kind: type[Event]) -> Iterator[str]:
    return (f"{kind.__name__}: {place}" for place, is_handled in PLACES.items() if not is_handled(kind))


def test_every_declared_kind_is_handled_everywhere() -> None:
    missing = [line for kind in EVENTS for line in missing_of(kind)]
    assert not missing, "\n".join(["not handled (see ledger/EVENTS.md):", *missing])


def test_exemptions_are_of_kinds_that_there_are() -> None:
    assert UNREACHED.keys() <= {kind.__name__ for kind in EVENTS}


@dataclass(frozen=True, slots=True)
class LotTeleported(LedgerEvent):
    """A kind that is declared, and nowhere handled."""

    claims_root: ClaimsRoot


def test_a_kind_that_is_only_declared_is_named_with_every_place() -> None:
    assert list(missing_of(LotTeleported)) == [f"LotTeleported: {place}" for place in PLACES]


def test_the_page_names_every_place() -> None:
    page = text("ledger/EVENTS.md")
    for place in PLACES:
        for file in re.split(", | or ", place.partition(":")[0]):
            assert file in page, file
