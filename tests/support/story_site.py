"""A story in an index, behind a gateway: what its pages tell of it, with a proof and without one."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape

from millmark.ledger.bundle import InferenceShown
from millmark.ledger.errors import MillmarkError
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.provenance import Disclosing
from millmark.ledger.provenance.answers import AsOf
from millmark.ledger.records import ALL_ROLES, NoteKind
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import KeyRow, MachineRow, ModelRow, ParticipantRow, StreamRow
from millmark.ledger.verify import Report, Statement
from millmark.ledger.verify.report import StatusRefused
from millmark.ledger.verify.statements import words_of
from millmark.services.gateway import Limiter
from millmark.services.portal import Proofs
from millmark.services.portal.proofs import Proof
from tests.support.fake_ledger import FakeChain, digest
from tests.support.gateway_client import FREE, LINK, Caller, build_caller
from tests.support.story import (
    BENCH,
    BENCH_STREAM,
    DAY_S,
    INSPECTOR,
    MAKER,
    NAMES,
    NONE,
    PRESS,
    START_S,
    STREAM,
    Story,
    key_of,
    name,
)

__all__ = ["CODE", "ORDER", "PART", "StorySite", "as_shown", "gated", "note"]

_IDENTITY = Identity(SubjectKind.LOT, MAKER, LINK, digest("salt", LINK))
PART = _IDENTITY.subject
"""A lot of the maker that has an identifier, and so a code."""
ORDER = name("order")
CODE = f"/01/09506000134352/21/A-1?salt={base64.urlsafe_b64encode(_IDENTITY.salt).rstrip(b'=').decode()}"


def gated() -> Story:
    """A part of an order with a gate, which is not certified yet."""
    story = Story()
    story.commission(PART, ORDER, story.begin(ORDER))
    return story


def note(story: Story, kind: NoteKind) -> None:
    """Of the part's maker."""
    story.record("NoteRecorded", MAKER, PART, kind_=int(kind))


@dataclass
class _StoryChain(FakeChain):
    """Its time is that of the story."""

    time: int = START_S

    @property
    def now(self) -> int:
        return self.time


class _Proved(Proofs):
    """Has the report of a story for its proof, or no proof."""

    def __init__(
        self,
        store: Store,
        report: Report | None,
        opened: tuple[InferenceShown, ...] = (),
        refused: StatusRefused | None = None,
        *,
        kept: bool,
    ) -> None:
        super().__init__(store, None, None, Disclosing(names=True))
        known = report is not None
        self._found = Proof(b"", b"", kept=kept, report=report, refused=refused, inferences=opened) if known else None

    def fetch(self, lot: bytes, as_of: AsOf | None, now_s: int) -> Proof | MillmarkError | None:  # noqa: ARG002  # as in Proofs
        return self._found


@dataclass
class StorySite:
    """The index of a story. `report`: what a proof of it tells."""

    store: Store
    story: Story
    report: Report
    opened: tuple[InferenceShown, ...] = ()
    """What its proof opens."""
    refused: StatusRefused | None = None
    """Why its proof is refused, if its last step fails."""
    chain: _StoryChain = field(default_factory=_StoryChain)
    callers: dict[str, Caller] = field(default_factory=dict)
    """Of gateways with a proof that they made or kept, and of one without."""
    html: str = ""
    """Of the page that was read last."""

    def __post_init__(self) -> None:
        self.chain.mine()
        Follower(self.chain, self.store).follow()
        with self.store.transaction() as connection:
            book = Book(connection)
            book.set_names(NAMES)
            book.add_identity(_IDENTITY)
            for rows in _registered(self.story):
                Rows(connection).insert(rows)
        for entry in self.story.entries:
            self.chain.time = entry.time
            self.chain.record(entry.event, entry.participant, entry.histories[0], entry.histories, key=entry.key)
            self.chain.mine()
        self.chain.time = self.story.now + DAY_S
        self.chain.mine()
        Follower(self.chain, self.store).follow()

    def passport(self, language: str, *, proved: bool, kept: bool = False) -> str:
        """`kept`: its proof was made earlier, and is stored."""
        return self._page(CODE, language, "kept" if kept else "made" if proved else "none")

    def page_of(self, kind: str, subject: bytes, language: str) -> str:
        return self._page(f"/portal/{kind}/{subject.hex()}", language, "none")

    def _page(self, path: str, language: str, proof: str) -> str:
        """What is read on a page, in one line, with a pilcrow between its items."""
        if proof not in self.callers:
            report, is_kept = None if proof == "none" else self.report, proof == "kept"
            proofs = _Proved(self.store, report, self.opened, self.refused, kept=is_kept)
            self.callers[proof] = build_caller(self.store, limiter=Limiter(FREE), proofs=proofs)
        answer = self.callers[proof].ask(f"{path}{'&' if '?' in path else '?'}lang={language}")
        assert answer.status_code == 200, answer.text
        self.html = answer.text
        main = self.html.partition("<main")[2].partition("</main>")[0]
        items = re.sub(r"</?(?:p|li|h\d|td|dd|dt)\b[^>]*>", " ¶ ", main.partition(">")[2])
        return " ".join(unescape(re.sub(r"<[^>]+>", "", items)).split())


def _registered(story: Story) -> tuple[Sequence[object], ...]:
    """What the records name, as the story's replay has it."""
    people = [ParticipantRow(one, 0, int(ALL_ROLES), 1, False, False, 0, 0, START_S, NONE) for one in NAMES]
    keys = [KeyRow(key_of(one), one, int(ALL_ROLES), True, START_S, 0, 0, 0) for one in NAMES]
    machines = [MachineRow(one, digest("machine", one), slots.owner, START_S, slots.retired_at, NONE)
                for one, slots in story.machines.items()]  # fmt: skip
    models = [
        ModelRow(one, digest("model", one), slots.inspector, slots.approver, slots.state, slots.open, START_S, START_S,
                 slots.retired_at, slots.withdrawn_at, slots.defective_since, slots.digest, slots.code, *[NONE] * 3)
        for one, slots in story.models.items()
    ]  # fmt: skip
    streams = [
        StreamRow(STREAM, 1, PRESS, MAKER, 100, NONE, START_S, NONE),
        StreamRow(BENCH_STREAM, 2, BENCH, INSPECTOR, 100, NONE, START_S, NONE),
    ]
    return people, keys, machines, models, streams


def as_shown(one: Statement, language: str) -> str:
    """A statement as a page shows it: hashes and GS1 links shortened, times to the minute."""
    text = re.sub(r"https://id\.gs1\.org/[\w./-]*/([\w.-]+)", r"\1", words_of(language).text(one), flags=re.ASCII)
    text = re.sub(r"0x([0-9a-f]{8})[0-9a-f]{50}([0-9a-f]{6})", r"0x\1…\2", text)
    return " ".join(re.sub(r"(\d\d:\d\d):\d\d UTC", r"\1 UTC", text).split())
