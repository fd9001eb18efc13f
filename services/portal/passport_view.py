"""Arranges a passport in the order in which its page shows it.

Energy and emissions of a part are as disclosed by its documents. PASSPORT.md specifies the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import Json
from millmark.ledger.errors import MillmarkError
from millmark.ledger.footprint import PATH
from millmark.ledger.ids import DigitalLink
from millmark.ledger.provenance import Fact, Passport
from millmark.ledger.provenance.footprints import LotFootprint
from millmark.ledger.verify import Statement
from millmark.ledger.verify.report import Worth, find_worth
from millmark.services.portal.language import Catalogue
from millmark.services.portal.proofs import Proof
from millmark.services.portal.story import Story, build_story

__all__ = ["Document", "PassportView", "build_view", "is_current"]

_PRODUCT = ("passport", "productName")


@dataclass(frozen=True, slots=True)
class Document:
    """Disclosed fields of a document, except those that are shown elsewhere on the page."""

    thing: str
    identifier: str | None
    fields: tuple[tuple[str, Json], ...]


@dataclass(frozen=True, slots=True)
class PassportView:
    product: str | None
    story: Story
    """What is told of the part: by the proof if it is current, else by the index."""
    proved: bool
    """Whether it is the proof that tells it."""
    untold: MillmarkError | None
    """Why the index tells nothing; None if it does, or need not."""
    first: Story
    """What the page begins with: what the proof tells, if it proves anything, with what a later index has against the
    part; else the index."""
    documents: tuple[Document, ...]
    footprint: LotFootprint | None
    worth: Worth
    """Good only if the proof was accepted, and neither it nor a later index tells that something is open."""
    proof: Proof | None
    failure: str | None
    """Code of the error, if no proof could be built now."""

    @property
    def asks(self) -> bool:
        """Whether the reader has to ask somebody before using the part."""
        return self.first.is_stopped or bool(self.first.waits)

    @property
    def adds(self) -> bool:
        """Whether the page begins with something that came after the proof, and so is not proved."""
        proved = () if self.proof is None or self.proof.report is None else self.proof.report.statements
        first = self.first
        told = (*first.recalls, *first.waits, *first.verdict, *first.since, *first.gone, *first.anew)
        return bool(proved) and any(one not in proved for one in told)


def is_current(found: Proof | MillmarkError | None) -> bool:
    """Whether a proof tells everything that the index has: it was made from it, and proves something."""
    return isinstance(found, Proof) and found.report is not None and not found.kept


def build_view(
    passport: Passport,
    found: Proof | MillmarkError | None,
    recorded: tuple[Statement, ...] | MillmarkError | None,
) -> PassportView:
    """`recorded`: what the index tells of the part, or why it does not; None if the proof is current."""
    proof = found if isinstance(found, Proof) else None
    proved = () if proof is None or proof.report is None else proof.report.statements
    untold = recorded if isinstance(recorded, MillmarkError) else None
    told = () if isinstance(recorded, MillmarkError) else proved if recorded is None else recorded
    story = build_story(told)
    first = build_story(proved or told)
    is_later = not proved or _block_of(proved) <= passport.trace.as_of.block_number  # otherwise it adds nothing
    if is_later:
        first = first.told_after(story)
    worth = find_worth(first.told_first, refused=proof is not None and proof.refused is not None)
    return PassportView(
        product=_product(passport),
        story=story,
        proved=recorded is None,
        untold=untold,
        first=first,
        documents=tuple(_documents(passport)),
        footprint=passport.footprint,
        worth=Worth.OPEN if worth is Worth.GOOD and is_later and story.worth is not Worth.GOOD else worth,
        proof=proof,
        failure=None if found is None or isinstance(found, Proof) else found.code,
    )


def _block_of(proved: tuple[Statement, ...]) -> int:
    """The block as of which a proof tells."""
    return next(int(str(one.values["block"])) for one in proved if one.code == "as_of")


def describe_name(catalogue: Catalogue, link: DigitalLink) -> list[tuple[str, str, str]]:
    """The code's key and qualifiers: (application identifier, its meaning, value)."""
    return [
        (ai, catalogue.say(f"ai.{ai}" if catalogue.knows(f"ai.{ai}") else "ai.other"), value)
        for ai, value in link.elements
    ]


def _product(passport: Passport) -> str | None:
    """The product's name, from the part's own document, else from its order's."""
    named = [fact for fact in passport.facts if fact.path == _PRODUCT and isinstance(fact.value, str)]
    own = [fact for fact in named if fact.subject == passport.trace.lot.subject and fact.thing == "lot"]
    order = [fact for fact in named if fact.thing == "order"]
    return str((own or order)[0].value)[:120] if own or order else None


def _documents(passport: Passport) -> Iterator[Document]:
    trace = passport.trace
    names = {trace.lot.subject: trace.lot.identifier, **{lot.subject: lot.identifier for lot in trace.upstream}}
    if trace.order is not None:
        names[trace.order.subject] = trace.order.identifier
    found: dict[tuple[str, bytes, int], list[Fact]] = {}
    for fact in passport.facts:
        if fact.path[: len(PATH)] != PATH and fact.path != _PRODUCT:
            found.setdefault((fact.thing, fact.subject, fact.record), []).append(fact)
    for (thing, subject, _), facts in found.items():
        yield Document(thing, names.get(subject), tuple((_label(fact.path), fact.value) for fact in facts))


def _label(path: Sequence[str | int]) -> str:
    """The path of a field as text, without the leading `passport`, which means nothing to readers."""
    return " › ".join(str(step) for step in (path[1:] if path[0] == "passport" and len(path) > 1 else path))
