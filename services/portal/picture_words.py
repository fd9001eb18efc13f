"""Texts of the genealogy picture, in the page's language."""

from __future__ import annotations

from urllib.parse import unquote

from millmark.ledger.provenance import OrderTrace, Trace
from millmark.ledger.provenance.answers import AsOf, Cut, Machine, Party, Transformation
from millmark.ledger.records import CertificateStatus, LotState, Verdict
from millmark.ledger.verify.statements import words_of
from millmark.services.pictures import Words
from millmark.services.portal.language import Catalogue

__all__ = ["PictureWords", "brief_of"]


class PictureWords(Words):
    """Takes all texts from a catalogue, and words for what statements tell of from those."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._say, self._told = catalogue.say, words_of(catalogue.language.value)

    def title(self, trace: Trace | OrderTrace, name: str) -> str:  # noqa: ARG002  # the page says which it is
        return self._say("picture.title", name=name)

    def reach(self) -> str:
        return self._say("recall.tree")

    def name(self, identifier: str | None, subject: bytes) -> str:
        return brief_of(identifier) if identifier else f"0x{subject.hex()}"

    def held(self, holder: Party) -> str:
        return self._say("picture.held", holder=self.party(holder))

    def party(self, party: Party) -> str:
        return party.name or self._say("participant.number", number=party.participant)

    def state(self, quantity: int, unit: str, state: LotState) -> str:
        told = self._told
        return self._say("picture.state", quantity=quantity, unit=told.unit(unit), state=told.member(state))

    def judged(self, verdict: Verdict, status: CertificateStatus) -> str:
        labels = self._told.member(verdict), self._told.member(status)
        return "\n" + self._say("picture.judged", verdict=labels[0], status=labels[1])

    def made_on(self, machine: Machine) -> str:
        return self._say(
            "picture.made_on", machine=brief_of(machine.identifier) if machine.identifier else str(machine.machine)
        )

    def step(self, step: Transformation) -> str:
        return self._say(f"TransformationKind.{step.kind.name}")

    def summary(self, lots: int, steps: int, as_of: AsOf) -> str:
        return self._say("picture.summary", lots=lots, steps=steps, block=as_of.block_number)

    def cut(self, cut: Cut) -> str:
        return self._say("picture.cut", limit=cut.at)


def brief_of(identifier: str) -> str:
    """The last part of an identifier, where things of one kind differ."""
    return unquote(identifier.rpartition("/")[2].rpartition(":")[2]) or identifier
