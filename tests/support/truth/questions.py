"""What a careful buyer asks about a part, and how each question is answered: from the chain's log, and from the
statements of a report, as partners get them in JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.truth.log_answers import Answer, LogAnswers

__all__ = ["QUESTIONS", "Question", "Statements"]

Told = Mapping[str, Any]


@dataclass(frozen=True)
class Statements:
    """The statements of a report about one part."""

    told: tuple[Told, ...]
    part: str
    """Its subject, 0x-hex."""

    def having(self, *codes: str) -> Iterator[Told]:
        return (one for one in self.told if one["code"] in codes)

    def values(self, name: str, *codes: str) -> Answer:
        """Of those about the part and what it was made from."""
        return frozenset(one["values"][name] for one in self.of_line(*codes))

    @property
    def line(self) -> frozenset[str]:
        """The part and what it was made from, as the report has it."""
        return frozenset(one["subject"] for one in self.having(*_BEGINNINGS))

    def of_line(self, *codes: str) -> Iterator[Told]:
        """Those about the part, or what it was made from; not about what it is packed in or with."""
        return (one for one in self.having(*codes) if one["subject"] in self.line)

    def members(self, name: str, *codes: str) -> Answer:
        return frozenset(item for one in self.having(*codes) for item in one["values"][name])


@dataclass(frozen=True)
class Question:
    name: str
    ask: Callable[[LogAnswers], Answer]
    read: Callable[[Statements], Answer]
    unknown: str = ""
    """The code of the statement that says that there may be more than the report tells; empty if it must tell all."""
    maybe: Callable[[Statements], Answer] = lambda _: frozenset()
    """What the report says may be so."""

    def differs(self, answer: Answer, statements: Statements) -> bool:
        """Whether the report does not tell what the chain does, and does not say that it does not know."""
        read = self.read(statements) | (self.maybe(statements) & answer)
        if self.unknown and read < answer:
            return not any(True for _ in statements.having(self.unknown))
        return read != answer


def _with_status(status: str) -> Callable[[Statements], Answer]:
    def read(statements: Statements) -> Answer:
        found = statements.of_line("certificate")
        return frozenset(one["values"]["certificate"] for one in found if one["values"]["status"] == status)

    return read


def _failed(statements: Statements) -> Answer:
    found = statements.of_line("certificate")
    return frozenset(one["values"]["certificate"] for one in found if one["values"]["verdict"] == "fail")


def _happened(code: str) -> Callable[[Statements], Answer]:
    """The records of events of the part itself."""

    def read(statements: Statements) -> Answer:
        found = (one for one in statements.having(code) if one["subject"] == statements.part)
        return frozenset(number for one in found for number in one["records"])

    return read


_BEGINNINGS = {
    "made": "commissioned",
    "received": "received",
    "split": "split",
    "merged": "merge",
    "converted": "conversion",
    "assembled": "conversion",
    "reworked": "rework",
}


def _beginnings(statements: Statements) -> Iterable[Told]:
    return statements.having(*_BEGINNINGS)


def _maker(statements: Statements) -> Answer:
    found = (one for one in _beginnings(statements) if one["subject"] == statements.part)
    return frozenset((one["values"]["by"]["participant"], _BEGINNINGS[one["code"]]) for one in found)


def _ancestors(statements: Statements) -> Answer:
    return frozenset(one["subject"] for one in _beginnings(statements)) - {statements.part}


def _received(statements: Statements) -> Answer:
    return frozenset((one["subject"], one["values"]["by"]["participant"]) for one in statements.having("received"))


def _inputs(statements: Statements) -> Answer:
    """What it was made of directly, and what was fitted to it."""
    found = statements.having(*_BEGINNINGS, "fitted")
    mine = (one for one in found if one["subject"] == statements.part)
    return frozenset(item["subject"] for one in mine for item in one["values"]["inputs"])


def _machines(statements: Statements) -> Answer:
    found = (one for one in statements.having("on_machine") if one["subject"] == statements.part)
    return frozenset(one["values"]["machine"]["machine"] for one in found)


def _machines_of_ancestors(statements: Statements) -> Answer:
    found = (one for one in statements.having("on_machine") if one["subject"] != statements.part)
    return frozenset(one["values"]["machine"]["machine"] for one in found)


def _owners(statements: Statements) -> Answer:
    return frozenset(one["values"]["owner"]["participant"] for one in statements.having("on_machine"))


def _siblings(statements: Statements) -> Answer:
    mine = {one["values"]["assignment"] for one in statements.having("same_assignment") if _is_part(one, statements)}
    found = statements.having("same_assignment")
    return frozenset(
        one["subject"] for one in found if one["values"]["assignment"] in mine and not _is_part(one, statements)
    )


def _is_part(told: Told, statements: Statements) -> bool:
    return bool(told["subject"] == statements.part)


def _reused(statements: Statements) -> Answer:
    return frozenset(frozenset(one["values"]["measured"]) for one in statements.having("one_measurement"))


def _standing(statements: Statements) -> Answer:
    found = (one["values"] for one in statements.having("stands"))
    return frozenset((one["state"], one["quantity"], one["unit"]["code"]) for one in found)


def _holder(statements: Statements) -> Answer:
    return frozenset(one["values"]["holder"]["participant"] for one in statements.having("stands"))


def _order(statements: Statements) -> Answer:
    found = (one["values"] for one in statements.having("in_order"))
    return frozenset((one["order"]["subject"], one["buyer"]["participant"]) for one in found)


def _notes(statements: Statements) -> Answer:
    orders = {one["values"]["order"]["subject"] for one in statements.having("in_order")}
    wanted = statements.line | orders
    found = statements.having("note", "recall_notice")
    return frozenset(
        one["values"]["record"] for one in found if wanted & {item["subject"] for item in one["values"]["about"]}
    )


def _corrected(statements: Statements) -> Answer:
    return frozenset(one["values"]["record"] for one in statements.having("corrected"))


def _quarantined(statements: Statements) -> Answer:
    return _set_apart(statements, "quarantined")


def _perhaps_quarantined(statements: Statements) -> Answer:
    return _set_apart(statements, "quarantined_or_spent")


def _set_apart(statements: Statements, code: str) -> Answer:
    return frozenset((one["subject"], one["values"]["by"]["participant"]) for one in statements.of_line(code))


def _quarantined_part(statements: Statements) -> Answer:
    return frozenset(one["values"]["by"]["participant"] for one in statements.having("quarantined_part"))


def _suspended(statements: Statements) -> Answer:
    return frozenset(one["values"]["participant"]["participant"] for one in statements.having("suspended"))


def _made_of_it(statements: Statements) -> Answer:
    return frozenset(item["subject"] for one in statements.having("made_of") for item in one["values"]["made"])


def _without_evidence(statements: Statements) -> Answer:
    certificates = statements.members("certificates", "measured")
    return certificates | statements.members("finished", "operations")


def _own(statements: Statements) -> Answer:
    return statements.values("certificate", "own_work")


QUESTIONS = (
    Question("Which certificates of it, or of what it was made from, failed it?", LogAnswers.failed, _failed),
    Question("Which were refuted?", LogAnswers.refuted, _with_status("refuted")),
    Question("Which were revoked?", LogAnswers.revoked, _with_status("revoked")),
    Question(
        "Which were demanded and not opened in time, or revoked instead?",
        LogAnswers.unopened,
        lambda told: told.values("certificate", "unmet"),
    ),
    Question("Which have fallen with their model?", LogAnswers.fallen, _with_status("fallen")),
    Question(
        "Of which was the opening demanded, and is not settled?",
        LogAnswers.demanded,
        lambda told: told.values("certificate", "demanded", "unmet"),
    ),
    Question("When did it pass?", LogAnswers.passed_at, _happened("event_passed")),
    Question("When did it fail?", LogAnswers.failed_at, _happened("event_failed")),
    Question("When was an opening demanded?", LogAnswers.demanded_at, _happened("event_demanded")),
    Question("When was a certificate upheld?", LogAnswers.upheld_at, _happened("event_upheld")),
    Question("When was a certificate refuted?", LogAnswers.refuted_at, _happened("event_refuted")),
    Question("When was a certificate revoked?", LogAnswers.revoked_at, _happened("event_revoked")),
    Question("When was it quarantined by a record?", LogAnswers.quarantined_at, _happened("event_quarantined")),
    Question("When was it released?", LogAnswers.released_at, _happened("event_released")),
    Question("When was it reworked in place?", LogAnswers.reworked_at, _happened("event_reworked")),
    Question("Which measurements were named for several things?", LogAnswers.reused, _reused),
    Question("Which certificates and operations show no measurement?", LogAnswers.unmeasured, _without_evidence),
    Question(
        "Which certificates are on a measurement from before the work?",
        LogAnswers.outdated,
        lambda told: told.values("certificate", "old_measurement"),
        unknown="timing",
    ),
    Question("Who made it, and how?", LogAnswers.maker, _maker),
    Question("What was it made from, in any number of steps?", LogAnswers.ancestors, _ancestors),
    Question("What was it made from directly?", LogAnswers.inputs, _inputs),
    Question("What came from outside, and who received it?", LogAnswers.received, _received),
    Question("On which machines was it made?", LogAnswers.machines, _machines),
    Question(
        "On which machines was what it was made from made?", LogAnswers.machines_of_ancestors, _machines_of_ancestors
    ),
    Question("Whose machines were these?", LogAnswers.owners, _owners),
    Question("Who certified own work?", LogAnswers.own_work, _own),
    Question("What else was made under its assignments?", LogAnswers.siblings, _siblings, unknown="other_lots"),
    Question("What was made of it?", LogAnswers.made_of_it, _made_of_it),
    Question("In whose order is it?", LogAnswers.order, _order),
    Question("In what state is it, and how much?", LogAnswers.standing, _standing),
    Question("Who has it?", LogAnswers.holder, _holder),
    Question("Who has set it apart?", LogAnswers.quarantined_part, _quarantined_part),
    Question("What of it is set apart?", LogAnswers.quarantined, _quarantined, maybe=_perhaps_quarantined),
    Question("What was noted about it?", LogAnswers.notes, _notes),
    Question(
        "Which gates were waived for it?",
        LogAnswers.waived,
        lambda told: told.values("record", "waived", "waived_uncertified"),
    ),
    Question("Which records were corrected?", LogAnswers.corrected, _corrected, unknown="elsewhere"),
    Question("Which companies in its records may not act?", LogAnswers.suspended, _suspended),
)
