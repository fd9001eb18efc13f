"""The report of a story: what is said about records, without chain, proofs or encodings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from string import Formatter
from typing import Any, cast

from millmark.ledger.bundle import Bundle
from millmark.ledger.headers import BlockHeader
from millmark.ledger.trust import CONTRACTS, BelievedBlock, TrustedContract, TrustFile
from millmark.ledger.verify._proofs import Reasons
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.report import Report
from millmark.ledger.verify.statements import Section, Statement, Thing, words_of
from millmark.ledger.verify.verifier import build_report
from tests.support.story import AUDITOR, BUYER, CARRIER, COORDINATOR, DAY_S, INSPECTOR, MAKER, NONE, OTHER, Story

NAMES = {
    BUYER: "Nordwind",
    COORDINATOR: "Kestrel",
    MAKER: "Alder",
    INSPECTOR: "Umbra",
    AUDITOR: "Vector",
    CARRIER: "Zeta",
    OTHER: "Ill Inspect",
}


def tell(story: Story, *parts: bytes, **given: Any) -> Report:
    """The report of a bundle about `parts`; `given`: see `verified_of`."""
    report = build_report(verified_of(story, *parts, **given))
    check_values(report)
    return report


_BESIDE: Mapping[str, frozenset[str]] = {
    code: frozenset(names.split())
    for code, names in {
        "as_of": "block_hash",
        "entry": "entry",
        "failed": "status until verdict",
        "made": "inputs",
        "made_of": "made",
        "nameless": "nameless",
        "no_valid_verdict": "until",
        "odd_register": "record",
        "packed": "packed",
        "passed": "status verdict",
        "recall_notice": "note",
        "received": "inputs",
        "received_lots": "received",
        "unmet": "until",
        "withheld": "lots",
    }.items()
}
"""What statements have beside what their sentences name, by code: pages and other programs read it."""


def check_values(report: Report) -> None:
    """Each statement has what its sentence names, and what is listed beside it, and nothing else."""
    for one in report.statements:
        named = {name for _, name, _, _ in Formatter().parse(words_of("en").templates[one.code]) if name}
        assert one.values.keys() == named | _BESIDE.get(one.code, frozenset()), one.code
        assert str(one)


def verified_of(
    story: Story,
    *parts: bytes,
    names: Mapping[bytes, str] | None = None,
    behind: int = 0,
    days: int = 1,
    **disclosed: object,
) -> Verified:
    """What is verified of a bundle about `parts`. `names`: identifiers; `behind`: blocks before the believed one;
    `days`: the verifier's clock, after the last record; `disclosed`: members of the bundle."""
    state = story.replay(*parts)
    bundle: Bundle = replace(story.bundle(*parts), **disclosed)  # type: ignore[arg-type]  # members of a bundle
    headers = [
        BlockHeader(NONE, 5 + one, NONE, NONE, NONE, story.now + DAY_S + 60 * one, b"") for one in range(behind + 1)
    ]
    now_s = story.now + days * DAY_S
    return Verified(bundle, trust_file(), headers, Reasons(()), state, story.entries, dict(names or {}), now_s)


def trust_file() -> TrustFile:
    contracts = {one: TrustedContract(bytes([7 + at]) * 20, NONE) for at, one in enumerate(sorted(CONTRACTS))}
    return TrustFile(1, NONE, contracts, NAMES, BelievedBlock(5, NONE))


def codes(report: Report) -> list[str]:
    return [one.code for one in report.statements]


def said(report: Report, code: str) -> list[Statement]:
    return [one for one in report.statements if one.code == code]


def named(report: Report, code: str, name: str) -> list[Any]:
    """What the statements with a code say under one name."""
    return [one.values[name] for one in said(report, code)]


def subjects(report: Report, code: str) -> list[bytes | None]:
    """What the statements with a code are about."""
    return [one.subject for one in said(report, code)]


def made_of(report: Report, lot: bytes) -> set[bytes]:
    """The lots that a lot came from, by the statements about how each began."""
    inputs: dict[bytes | None, list[bytes]] = {}
    for one in report.within(Section.ORIGIN):
        used = cast("tuple[Thing, ...]", one.values.get("inputs", ()))
        inputs.setdefault(one.subject, []).extend(thing.subject for thing in used)
    found, waiting = set[bytes](), [lot]
    while waiting:
        new = set(inputs.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def texts(report: Report, code: str) -> list[str]:
    return [str(one) for one in said(report, code)]
