"""What a recall hands out: the list of lots as CSV, and bundles that prove it, in one ZIP file."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.chain import Chain
from millmark.ledger.errors import InputError, MillmarkError, NotFoundError, Retry
from millmark.ledger.headers import parse_header
from millmark.ledger.provenance import Recall, build_recall_bundles, build_trust_file, open_reader
from millmark.ledger.store import Store
from millmark.ledger.verify.statements import words_of
from millmark.services.directory.document import DirectoryEntry
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.portal.language import Catalogue
from millmark.services.portal.recall_view import Whereabouts, find_whereabouts, sort_naturally
from millmark.services.serving.bounded_work import BoundedWork

__all__ = ["RecallFiles", "build_csv"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters at the start of a cell that make a spreadsheet evaluate it (OWASP, CSV injection)."""
_COLUMNS = (
    "identifier", "subject", "depth", "quantity", "unit", "state", "quarantined", "holder", "holder_number",
    "holder_gln", "holder_gateway", "holder_contact", "verdict", "status", "packed_in", "offered_to",
)  # fmt: skip
_BOM = "\ufeff"
"""Without it, spreadsheets read UTF-8 as the local code page."""
_MOST_PROVED = 500
"""Most lots that are proved on request; the command proves any number."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of all members, so that the same bundles make the same file; the least that ZIP can say."""


class RecallBusyError(MillmarkError):
    """Too many recalls are being proved at the same time."""

    code = "proofs-busy"
    retry = Retry.UNCHANGED


@dataclass(frozen=True, slots=True)
class RecallFiles:
    store: Store
    chain: Chain | None
    _work: BoundedWork = field(default_factory=lambda: BoundedWork(at_once=1, waiting=2))

    @property
    def may_prove(self) -> bool:
        """Whether there is a node, from which proofs are built."""
        return self.chain is not None

    def build_proof(self, found: Recall, table: str) -> bytes:
        """The bundles about a recall's lots, the trust file for their block, and the list, as a ZIP file.

        Raises NotFoundError without a node, InputError for more than 500 lots, RecallBusyError, and what building a
        bundle raises."""
        if self.chain is None:
            raise NotFoundError("this gateway has no node to build proofs from")
        if len(found.lots) > _MOST_PROVED:
            raise InputError(
                f"{len(found.lots)} lots are too many to prove while you wait", hint="use `millmark recall --bundle`"
            )
        with self._work.take() as mine:
            if not mine:
                raise RecallBusyError("too many recalls are being proved", hint="try again in a minute")
            bundles = [one.data for one in build_recall_bundles(self.store, self.chain, found)]
        files = {f"recall-{number}.bundle": data for number, data in enumerate(bundles, 1)}
        if bundles:
            block = parse_header(parse_bundle(bundles[0]).headers[-1]).number
            files["trust.json"] = build_trust_file(self.store, self.chain, block).to_bytes()
        return _pack({**files, "recall.csv": table.encode()})


def build_csv(store: Store, found: Recall, catalogue: Catalogue, viewer: int | None = None) -> str:
    """Every affected lot, with its holder, what the directory says of it, and the status of its certificate. The holder
    of one that is used up is who had it last. Units are words of the page's language, as is why there is no contact;
    states are those of the API."""
    out = io.StringIO()
    out.write(_BOM)
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    units = words_of(catalogue.language.value).units
    entries = _entries(store, found)
    with open_reader(store, viewer) as reader:
        places = find_whereabouts(reader, found.lots)
    for lot in sort_naturally(found.lots):
        entry = entries.get(lot.holder.participant)
        row = (
            lot.identifier or "", "0x" + lot.subject.hex(), lot.depth, lot.quantity, units.get(lot.unit, lot.unit),
            lot.state.name.lower(), "yes" if lot.quarantined else "no",
            lot.holder.name or f"participant {lot.holder.participant}", lot.holder.participant,
            (entry.gln if entry else None) or "", (entry.gateway if entry else None) or "",
            _contact(entry, catalogue),
            lot.verdict.name.lower(), lot.status.name.lower(), *_moving(places.get(lot.subject)),
        )  # fmt: skip
        writer.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def _entries(store: Store, found: Recall) -> Mapping[int, DirectoryEntry | None]:
    """The directory's entries of all who have a lot or had it last, by number; None where it has none."""
    with store.reading() as connection:
        directory = DirectoryRepository(connection)
        return {one: directory.entry(one) for one in {lot.holder.participant for lot in found.lots}}


def _contact(entry: DirectoryEntry | None, catalogue: Catalogue) -> str:
    """Whom one reaches, or why nobody can be named."""
    if entry is None:
        return catalogue.say("recall.no_contact")
    return str(entry.contact or catalogue.say("recall.no_person"))


def _moving(place: Whereabouts | None) -> tuple[str, str]:
    """In what a lot is packed, and to whom it is offered."""
    if place is None:
        return "", ""
    carrier = "" if place.carrier is None else place.carrier[1] or f"0x{place.carrier[0].hex()}"
    to = place.offered_to
    return carrier, "" if to is None else to.name or f"participant {to.participant}"


def _harmless(cell: str) -> str:
    # A leading apostrophe makes spreadsheets treat the cell as text.
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _pack(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
