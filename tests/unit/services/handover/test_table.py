"""Each company can read exactly what the table says, at each moment of a part's life."""

from __future__ import annotations

from pathlib import Path

from millmark.ledger.events import EVENTS
from millmark.services import handover
from millmark.services.handover.table import TABLE, Gets, is_handed_over
from tests.unit.services.handover.conftest import Delivered, Readable

BUYER, COORDINATOR, MAKER, INSPECTOR, AUDITOR, CARRIER = "nordwind", "kestrel", "alder", "umbra", "vector", "swift"
STRANGERS = ("birch", "cedar")
"""Makers that have nothing to do with the order."""
ORDER = {
    "hip/operations/0/step",
    "hip/operations/1/step",
    "hip/passport/productName",
    "hip/price/amount",
    "hip/price/currency",
    "hip/specification/engraving",
}
PRESS, LOT = {"press/equipment", "press/name"}, {"hip-1/passport/weight", "hip-1/serial"}
CARD = {"card/accuracy", "card/model/sha256"}
VERDICT = {"certificate hip/limits/noise", "certificate hip/passport/passed"}


def offered(word: str) -> set[str]:
    return {f"{word}/carrier's note", f"{word}/passport/packed"}


# Written out, not derived from the table. For each moment: what each company can read that it could not before.
NEW: dict[str, dict[str, dict[str, set[str]]]] = {
    "nothing": {
        MAKER: {"names": {"press"}, "fields": PRESS},
        INSPECTOR: {"names": {"bench"}, "fields": CARD | {"bench/equipment", "bench/name"}},
    },
    "placed": {BUYER: {"names": {"hip"}, "fields": ORDER}, COORDINATOR: {"names": {"hip"}, "fields": ORDER}},
    "assigned": {
        COORDINATOR: {"names": {"press"}, "fields": PRESS | {"proposal hip/window"}},
        MAKER: {
            "names": {"hip"},
            "fields": {
                "hip/operations/0/step",
                "hip/passport/productName",
                "hip/specification/engraving",
                "proposal hip/window",
            },
        },
    },
    "made": {
        BUYER: {"names": {"hip-1", "press"}, "fields": LOT},
        COORDINATOR: {"names": {"hip-1"}, "fields": LOT},
        MAKER: {"names": {"hip-1"}, "fields": LOT},
        INSPECTOR: {"names": {"hip-1", "press"}, "fields": {"hip-1/passport/weight"}},
    },
    "certified": {
        BUYER: {"fields": CARD | VERDICT, "measured": {"certify hip"}},
        INSPECTOR: {"fields": VERDICT, "measured": {"certify hip"}},
        AUDITOR: {"names": {"hip-1"}, "fields": CARD | VERDICT, "measured": {"certify hip"}},
    },
    "declined": {
        MAKER: {"names": {"steel"}, "fields": offered("offer declined") | {"steel/passport/heat", "steel/supplier"}}
    },
    "offered": {
        MAKER: {"fields": offered("offer to carrier")},
        CARRIER: {
            "names": {"hip-1"},
            "fields": offered("offer to carrier") | {"hip-1/passport/weight", "hip/passport/productName"},
        },
    },
    "carried": {},
    "delivered": {
        BUYER: {"fields": offered("offer to buyer") | {"offer to carrier/passport/packed"}},
        CARRIER: {"fields": offered("offer to buyer")},
    },
    "called back": {one: {"fields": {"notice/text"}} for one in (MAKER, BUYER, CARRIER)},
    "answered": {BUYER: {"fields": {"answer/text"}}, MAKER: {"fields": {"answer/text"}}},
}

NEEDS = {
    "shaft/operations/0/name",
    "shaft/operations/0/need/kind",
    "shaft/operations/0/need/values/diameter_mm",
    "shaft/operations/0/need/values/material",
    "shaft/operations/1/name",
    "shaft/operations/1/need/kind",
    "shaft/operations/1/need/values",
    "shaft/specification/diameter",
}
CAPABLE = {
    "lathe": {
        "lathe/capability/0/kind",
        "lathe/capability/0/limits",
        "lathe/capability/1/kind",
        "lathe/capability/1/limits/diameter_mm/0",
        "lathe/capability/1/limits/diameter_mm/1",
        "lathe/capability/1/limits/material/0",
        "lathe/capability/1/limits/material/1",
    },
    "mill": {"mill/capability/0/kind", "mill/capability/0/limits"},
}
BOUGHT = {"lathe": {"lathe/bought"}, "mill": {"mill/bought"}}
BIRCH, LATHE_OFFERS, MILL_OFFERS = "birch", {"offers lathe 1", "offers lathe 2"}, {"offers mill 1", "withdrawal 1"}
SHARED = {
    *(f"plan/{name}" for name in ("before", "call", "cause", "dropped", "offers", "plan", "tie")),
    *("plan/bound/prices", "plan/bound/value", "plan/cost/total", "plan/legs"),
}
WHOLE_PLAN = {
    *SHARED,
    *("plan/now", "plan/fixed", "plan/rows/0", "plan/rows/1"),
    *(f"plan/cost/{part}" for part in ("carbon", "price", "tardiness", "transport")),
}
READ = {"entries": {*LATHE_OFFERS, *MILL_OFFERS}, "fields": CAPABLE["lathe"] | CAPABLE["mill"]}
PLANNED: dict[str, dict[str, dict[str, set[str]]]] = {
    "placed again": {
        BUYER: {"names": {"shaft"}, "fields": NEEDS},
        COORDINATOR: {"names": {"shaft"}, "fields": NEEDS},
        MAKER: {"fields": CAPABLE["mill"] | BOUGHT["mill"]},
        BIRCH: {"fields": CAPABLE["lathe"] | BOUGHT["lathe"]},
    },
    "called": {
        COORDINATOR: {"entries": {"call 1", "objective"}},
        MAKER: {"entries": {"call 1"}},
        BIRCH: {"entries": {"call 1"}},
        AUDITOR: {"entries": {"call 1", "objective"}},
    },
    "bid": {
        MAKER: {"entries": MILL_OFFERS},
        BIRCH: {"entries": LATHE_OFFERS},
        COORDINATOR: READ,
        AUDITOR: READ,
    },
    "planned": {
        COORDINATOR: {"entries": {"plan 1"}, "fields": WHOLE_PLAN},
        AUDITOR: {"entries": {"plan 1"}, "fields": WHOLE_PLAN},
        MAKER: {"entries": {"plan 1"}, "fields": SHARED},
        BIRCH: {"entries": {"plan 1"}, "fields": SHARED | {"plan/rows/0", "plan/rows/1"}},
    },
}
"""Of the second order. What an owner reads of a plan are its own rows, here all on Birch's lathe."""


def test_each_company_reads_exactly_what_the_table_says_at_each_moment(told: Delivered) -> None:
    assert list(told.moments) == [*NEW, "erased", *PLANNED]
    before: Readable = {}
    for moment in NEW:
        readable = told.moments[moment]
        assert set(readable) == {BUYER, COORDINATOR, MAKER, INSPECTOR, AUDITOR, CARRIER, *STRANGERS}
        for who, kinds in readable.items():
            for kind, what in kinds.items():
                new = what - before.get(who, {}).get(kind, set())
                assert new == NEW[moment].get(who, {}).get(kind, set()), (moment, who, kind)
                assert what >= before.get(who, {}).get(kind, set()), "nothing that was handed over is lost"
        before = readable


def test_each_company_reads_exactly_what_the_table_says_of_calls_offers_and_plans(told: Delivered) -> None:
    before = told.moments["erased"]
    for moment in PLANNED:
        readable = told.moments[moment]
        for who, kinds in readable.items():
            for kind, what in kinds.items():
                assert what - before[who][kind] == PLANNED[moment].get(who, {}).get(kind, set()), (moment, who, kind)
                assert what >= before[who][kind], "nothing that was handed over is lost"
        before = readable


def test_an_erasure_reaches_everybody_who_was_handed_the_document(told: Delivered) -> None:
    """The buyer tells the coordinator, who tells the maker; the maker tells the coordinator of its machine."""
    before, after = told.moments["answered"], told.moments["erased"]
    gone = {
        who: {kind: before[who][kind] - after[who][kind] for kind in kinds if before[who][kind] - after[who][kind]}
        for who, kinds in after.items()
    }
    engraving, equipment = "hip/specification/engraving", "press/equipment"
    assert {who: kinds for who, kinds in gone.items() if kinds} == {
        BUYER: {"fields": {engraving}},
        COORDINATOR: {"fields": {engraving, equipment}},
        MAKER: {"fields": {engraving, equipment}},
    }
    assert all(after[who][kind] <= before[who][kind] for who in after for kind in after[who])


def test_what_is_not_handed_over_cannot_be_guessed_either(told: Delivered) -> None:
    """Of a withheld field the maker has the leaf hash alone, so no salt to test guesses with."""
    maker = told.home(MAKER)
    shown = maker.document(told.apart.roots["hip"])
    assert "/price/amount" not in shown
    with maker.store.reading() as connection:
        found = connection.exec_driver_sql("SELECT document FROM documents").scalars().all()
    assert not any('"EUR"' in text for text in found)


def _describe_table() -> str:
    """The table in Markdown."""
    rows = ["| record | from | to | contents |", "|---|---|---|---|"]
    for entry in TABLE:
        gets = "; ".join(one.value for one in Gets if one in entry.gets)
        rows.append(f"| {', '.join(entry.kinds)} | {entry.sender} | {entry.recipient} | {gets} |")
    return "\n".join(rows)


def test_the_page_shows_the_table() -> None:
    page = (Path(handover.__file__).parent / "HANDOVER.md").read_text("utf-8")
    shown = page.partition("<!-- table -->\n")[2].partition("\n<!-- /table -->")[0]
    assert shown == _describe_table()


def test_every_kind_of_the_table_is_one_of_the_ledger() -> None:
    kinds = [kind for entry in TABLE for kind in entry.kinds]
    assert set(kinds) <= {event.__name__ for event in EVENTS}
    assert not is_handed_over("OrderAccepted")
