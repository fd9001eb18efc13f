"""Has the signal of each lot cut into windows, inspects them with the model, and builds the certificates.

A certificate names the window's entry in the log. Windows without one yet are given out to be appended, and come back
as entries.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from millmark import quality
from millmark.ledger import ids, records
from millmark.ledger.canonical import Json
from millmark.ledger.claims import build_claims
from millmark.ledger.errors import SettingsError
from millmark.ledger.evidence import EvidenceEntry
from millmark.ledger.store import Book, Store, outbox, outbox_records
from millmark.quality.errors import InputError as QualityInputError
from millmark.services.files import write_whole
from millmark.services.inspections.statements import InspectedEntry
from millmark.services.node.config import ModelSource
from millmark.services.node.events import DeadLetters, Event, EventRefusedError, Origin, read_samples
from millmark.services.node.intake import Lots, LotUnrecordedError, OrderUnknownError
from millmark.services.node.windows import Draft, Window, Windows, WrittenWindow, build_content

if TYPE_CHECKING:
    from millmark.quality import Inference, Inspector

_DAY_S = 24 * 3600
_UNRECORDED_S = 600.0
"""How long windows wait for the record of their lot."""
_MAX_LISTED = 100_000
_MAX_HELD = 1000
"""Windows that wait in memory."""


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate ready to be queued, and the inference behind it."""

    record: records.IssueCertificate
    draft: Draft
    failed: bool
    """Whether its verdict is FAIL."""


class _VerdictOpenError(OrderUnknownError):
    """Whether the lot failed is not decided on the ledger yet."""


@dataclass(slots=True)
class _Cut:
    window: Window
    entry: EvidenceEntry
    """The event that completed it."""
    written: bool = False
    """Whether its own entry is in the log."""


@dataclass(frozen=True, slots=True)
class _Due:
    window: Window
    entry: EvidenceEntry
    """The window's own."""
    salt: bytes
    received_at_ms: int

    @property
    def lot(self) -> bytes:
        return bytes.fromhex(str(self.entry.entry["lot"])[2:])  # type: ignore[index,call-overload]  # a window's entry


def load_inspector(model: ModelSource) -> Inspector:
    """Loads the configured model. Raises SettingsError if the file cannot be read or the window width differs from the
    model's, QualityError if the file is not a model."""
    try:
        inspector = quality.Inspector(model.file.read_bytes())
    except OSError as error:
        raise SettingsError(f"{model.file} cannot be read: {error.strerror}", hint="name the model's file") from None
    if inspector.model.width != model.width:
        raise SettingsError(
            f"width is {model.width}, but the model reads {inspector.model.width} samples", hint="correct the width"
        )
    return inspector


def certificate_key(stream: bytes, leaf: int, number: int) -> str:
    """Idempotency key of a certificate. `leaf` and `number` are those of the certificate's window."""
    return f"node/certificate/{stream.hex()}/{leaf:013d}/{number:04d}"


class Certifier:
    """Inspects one stream. Not thread-safe.

    A lot whose failing certificate is final gets no further certificates from this node: a later window of the same bad
    part must not release it. Rework produces a new lot. While that certificate is on its way, later windows of the lot
    wait; if it is refused or cancelled there is no verdict, and they are certified.

    A window also waits while nobody can be asked for the order of its lot.
    """

    def __init__(
        self,
        stream: bytes,
        ledger: tuple[int, bytes],
        model: ModelSource,
        inspector: Inspector,
        store: Store,
        folder: Path,
        dead_letters: DeadLetters,
        lots: Lots,
        tell: Callable[[int, str], object] = lambda _index, _reason: None,
    ) -> None:
        """`stream`: its subject. `ledger`: chain id and contract address. `folder`: the stream's folder. `tell` is
        called with leaf and reason of each entry that gets no certificate. Raises SettingsError if the list of failed
        lots cannot be read."""
        self._tell, self._stream = tell, stream
        self._chain_id, self._ledger = ledger
        self._model, self._inspector, self._store, self._dead_letters = model, inspector, store, dead_letters
        self._lots = lots
        self._outbox = outbox.Outbox(store)
        self._listed = dead_letters.uncertified("0x" + stream.hex())
        """Refusals that are listed already: a restart reads entries again, and must not list them twice."""
        self._refused = {place for place, _ in self._listed}
        self._windows = Windows(model.width, model.hop)
        self._cut: dict[str, _Cut] = {}
        """Windows whose entry was not read yet, by its id."""
        self._due: list[_Due] = []
        self._settled: list[_Due] = []
        """Those of `_due` that the latest `build` certified or refused."""
        self._chain_silent = False
        """Whether the latest `build` found nobody to ask for an order."""
        self._missing: dict[bytes, float] = {}
        """Since when the ledger is known to lack a lot, by lot; monotonic seconds."""
        self._failed_path = folder / "failed-lots.json"
        self._failed = _read_failed(self._failed_path)

    @property
    def has_unfinished_windows(self) -> bool:
        """Whether entries fed so far still affect certificates to come. If not, a restart need not read them again."""
        return bool(self._due or self._cut) or self._windows.has_unfinished

    @property
    def is_full(self) -> bool:
        """Whether so many windows wait for a silent chain that no more entries should be fed: the log keeps them."""
        return self._chain_silent and len(self._due) + len(self._cut) >= _MAX_HELD

    def feed(self, entry: EvidenceEntry) -> None:
        """Adds an event's samples."""
        value = entry.entry
        if not isinstance(value, Mapping) or "lot" not in value:
            return
        try:
            samples = read_samples(value, self._model.field)
        except EventRefusedError as error:
            self._refuse(error, entry)
            return
        name, order = str(value["lot"]), value.get("order")
        # In canonical form, so that the windows of a lot are joined however its events spell the identifier.
        lot = name if name.startswith("0x") else ids.canonical_identifier(name)
        windows = self._windows.feed(entry.index, lot, order if isinstance(order, str) else None, samples)
        self._cut.update({window.id: _Cut(window, entry) for window in windows})

    def feed_window(self, entry: EvidenceEntry, written: WrittenWindow, received_at_ms: int, queued: bool) -> None:
        """Adds a window's entry. `queued` tells that it is under an anchor in the outbox, where its certificate may be
        as well."""
        cut = self._cut.pop(written.id, None)
        if cut is None or (queued and self._is_settled(entry.index, cut.window)):
            return
        if not written.commits_to(cut.window.samples):
            error = EventRefusedError("window-changed", "the window was cut with other settings than today's")
            self._refuse(error, cut.entry)
            return
        self._due.append(_Due(cut.window, entry, written.salt, received_at_ms))

    def unwritten(self) -> list[Event]:
        """The windows without an entry, to be appended to the log, each once. Call it when the log was read to its end:
        else their entries may still come. Raises StoreError."""
        found = []
        for identity, cut in list(self._cut.items()):
            if cut.written:
                continue
            try:
                lot = self._lots.find_subject(cut.window.lot)
            except EventRefusedError as error:
                del self._cut[identity]
                self._refuse(error, cut.entry)
                continue
            found.append(Event(identity, None, build_content(cut.window, lot)))
        return found

    def wrote(self, windows: Sequence[Event]) -> None:
        """Call once these windows are in the log."""
        for window in windows:
            self._cut[window.id].written = True

    def build(self, size: int) -> list[Certified]:
        """Builds the certificates of the complete windows among the log's first `size` entries, in order, as far as
        they can be decided. They are built again until `done` is called. Raises StoreError, InputError or OSError."""
        self._settled, self._chain_silent = [], False
        found: list[Certified] = []
        waiting: set[bytes] = set()
        held = 0
        for due in (due for due in self._due if due.entry.index < size):
            try:
                # In the order of the log: no window of a lot overtakes one that waits.
                if due.lot in waiting:
                    raise _VerdictOpenError("an earlier window of the lot waits")
                certified = self._certify(due)
            except OrderUnknownError as error:
                waiting.add(due.lot)
                self._chain_silent |= not isinstance(error, LotUnrecordedError | _VerdictOpenError)
                held += 1
                if held <= _MAX_HELD or self._chain_silent:
                    continue
                self._refuse(EventRefusedError("certificate-late", f"{_MAX_HELD} windows wait already"), due.entry)
            except EventRefusedError as error:
                self._refuse(error, due.entry)
            else:
                found.append(certified)
                if certified.failed:
                    waiting.add(due.lot)
            self._settled.append(due)
        return found

    def done(self) -> None:
        """Call once the certificates of `build` are queued."""
        settled = {id(due) for due in self._settled}
        self._due = [due for due in self._due if id(due) not in settled]
        self._settled = []

    def count_due(self, size: int) -> int:
        """Number of windows among the log's first `size` entries that wait for their certificates."""
        return sum(due.entry.index < size for due in list(self._due))

    def _is_settled(self, index: int, window: Window) -> bool:
        key = certificate_key(self._stream, window.leaf, window.number)
        return f"leaf-{index}" in self._refused or bool(self._outbox.find([key]))

    def _certify(self, due: _Due) -> Certified:
        """Raises EventRefusedError if there is to be no certificate, OrderUnknownError if that cannot be told yet."""
        window, here = due.window, [due.window.leaf, due.window.number]
        self._verify_not_failed(due.lot, here)
        order = self._find_order(due)
        inspected = InspectedEntry(due.lot, self._stream, due.entry.index, due.entry.leaf_hash)
        inference = self._infer(due, inspected)
        failed = inference.verdict is quality.Verdict.FAIL
        if failed and self._failed.get(due.lot.hex(), [])[:2] != here:
            # Durable before the certificate is queued: after a crash it is known which one to watch.
            self._failed[due.lot.hex()] = [*here, self._lots.count_reworks(due.lot)]
            write_whole(self._failed_path, json.dumps(self._failed).encode())
        key = certificate_key(self._stream, window.leaf, window.number)
        draft = Draft(key, inference.salt, inference.window, inference.logits)
        return Certified(records.IssueCertificate(self._state(due, order, inspected, inference)), draft, failed)

    def _verify_not_failed(self, lot: bytes, here: list[int]) -> None:
        *before, reworks = self._failed.get(lot.hex(), [*here, 0])
        if before >= here:  # after a crash the failing window itself is certified again
            return
        key = certificate_key(self._stream, *before)
        record = self._outbox.find([key]).get(key)
        if record is None or record.state in (outbox_records.OutboxState.FAILED, outbox_records.OutboxState.CANCELLED):
            return  # that verdict is not on the ledger, and nobody was told of it
        if record.state is not outbox_records.OutboxState.FINAL:
            raise _VerdictOpenError("the certificate of an earlier window that failed is not final yet")
        if self._lots.count_reworks(lot) == reworks:
            cause = "the lot failed inspection in an earlier window, and was not reworked since"
            raise EventRefusedError("lot-failed", cause, hint="record the rework, and measure the lot after it")

    def _find_order(self, due: _Due) -> bytes:
        try:
            order = self._lots.find_order(due.lot, due.window.order)
        except LotUnrecordedError as error:
            # The record of a lot may be on its way while the lot is measured already. Counted from the first answer,
            # not from capture: after an outage the chain's node may still be behind.
            if time.monotonic() - self._missing.setdefault(due.lot, time.monotonic()) < _UNRECORDED_S:
                raise
            del self._missing[due.lot]
            hint = "record the lot, and send its samples again as new events"
            raise EventRefusedError("lot-unknown", error.cause, hint=hint) from None
        self._missing.pop(due.lot, None)
        return order

    def _infer(self, due: _Due, inspected: InspectedEntry) -> Inference:
        context = inspected.build_context(self._chain_id, self._ledger)
        try:
            return self._inspector.inspect(due.window.samples, context=context, salt=due.salt)
        except (QualityInputError, OverflowError) as error:
            raise EventRefusedError("window-unfit", f"the model cannot read the window: {error}") from None

    def _state(self, due: _Due, order: bytes, inspected: InspectedEntry, inference: Inference) -> records.Statement:
        window = due.window
        document: Json = {"inspection": "in line", "leaf": window.leaf, "window": window.number, "hop": self._model.hop}
        return inspected.build_statement(
            inference.digest,
            inference.verdict,
            order=order,
            model=self._model.number,
            # Counted from capture: a certificate that is built again after a restart has the same expiry.
            expires_at=due.received_at_ms // 1000 + self._model.validity_days * _DAY_S,
            claims_root=self._keep(document),
        )

    def _keep(self, document: Json) -> bytes:
        # Stored before the certificate is queued: a crash in between leaves a document that no record refers to, which
        # is harmless.
        claims = build_claims(document)
        with self._store.transaction() as connection:
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        return claims.root

    def _refuse(self, error: EventRefusedError, entry: EvidenceEntry) -> None:
        """Lists an entry that gets no certificate, once. It remains evidence."""
        origin = Origin("certificate", f"leaf-{entry.index}", "0x" + self._stream.hex())
        place = (origin.request_id, error.reason)
        if place in self._listed:
            return
        if len(self._listed) >= _MAX_LISTED:  # what a start read again has long been dealt with
            self._listed.clear()
            self._refused.clear()
        self._listed.add(place)
        self._refused.add(origin.request_id)
        self._dead_letters.add(origin, error, json.dumps(entry.entry).encode())
        self._tell(entry.index, error.reason)


def _read_failed(path: Path) -> dict[str, list[int]]:
    """Leaf and number of each lot's latest failed window, and how often the lot was reworked by then, by the lot's
    subject. Raises SettingsError."""
    try:
        found: dict[str, list[int]] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        # Without the list, a later window could pass a lot that failed before, so the node does not start.
        raise SettingsError(f"{path} cannot be read", hint="restore it from the latest backup") from None
    return found
