"""A company's day: what its people do by forms alone, on the real contracts, beside another company."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import ALL_ROLES, Record
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import ParticipantRow
from tests.support.acting_site import ActingSite, act, open_acting_site, read
from tests.support.portal_site import Browser

__all__ = ["Day", "open_day"]

D = TypeVar("D", bound="Day")


@dataclass
class Day:
    """A company, one of its people, and another company on the same ledger."""

    site: ActingSite
    person: Browser
    other: LocalSigner
    other_number: int = 0

    def do(self, name: str, key: str = "", /, **entries: str) -> bytes:
        """Has it recorded, finally. Returns the subject that it creates, if any."""
        query = "" if not key else f"?{'subject' if len(key) == 64 else 'id'}={key}"
        path = f"/portal/act/{name}{query}"
        answer = act(self.person, path, entries)
        assert answer.status_code == 303, read(answer.text)
        self.site.send()
        page = self.person.get(answer.headers["location"])
        assert "Done: final" in read(page.text), read(page.text)
        number = re.search(r"/records/(\d+)", answer.headers["location"])
        assert number is not None
        made = self.site.caller.ask(f"/v1/records/{number[1]}").json()["subjects"]
        return bytes.fromhex(made[0][2:]) if made else b""

    def offered(self, path: str) -> list[str]:
        """The names of the acts for which a page has buttons."""
        return re.findall(r'href="/portal/act/(\w+)', self.person.get(path).text)

    def by_other(self, *records: Record) -> None:
        submitter = self.site.world.submitter(Outbox(self.site.store), self.other)
        submitter.submit([(f"other-{one!r}"[:200], one) for one in records])
        submitter.drain()
        self.site.send()

    def row(self, kind: type[Any], *key: object) -> Any:
        with self.site.store.reading() as connection:
            return Rows(connection).get(kind, *key)  # type: ignore[arg-type]

    def last(self, kind: type[Any], column: str = "sequence") -> Any:
        with self.site.store.reading() as connection:
            return Rows(connection).latest(kind, column, 1)[0]

    def tasks(self) -> list[str]:
        """What the first page says that waits."""
        page = self.person.get("/portal").text
        return re.findall(r"<h2>([^<]+)</h2>", page)

    def keep(self, stream: str, count: int = 2) -> None:
        """Entries of a stream, kept here and anchored."""
        log = EvidenceLog()
        for place in range(count):
            log.append({"id": f"gauge-{place}", "data": {"um": place}}, b"s" * 32)
        with self.site.store.transaction() as connection:
            Book(connection).add_evidence(bytes.fromhex(stream[2:]), log.entries)
        self.site.final(f"/v1/streams/{stream}/anchors", size=count, root="0x" + log.tree.root(count).hex())


def open_day(folder: Path, kind: type[D]) -> Iterator[D]:
    """A day of Nordwind, beside Cedar Assembly."""
    for site in open_acting_site(folder):
        other = site.world.admit(Outbox(site.store), ALL_ROLES)
        site.send()
        found = kind(site, site.person(), other)
        found.other_number = found.last(ParticipantRow, "number").number
        with site.store.transaction() as connection:
            Book(connection).set_names({site.number: "Nordwind", found.other_number: "Cedar Assembly"})
        yield found
