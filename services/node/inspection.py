"""Has the signal of each lot cut into windows, inspects them with the model, and builds the certificates.

A certificate names the window's entry in the log. Windows without one yet are given out to be appended, and come back
as entries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import quality
from ledger.canonical import Json
from ledger.claims import build_claims
from ledger.errors import SettingsError
from ledger.evidence import EvidenceEntry
from ledger.ids import SubjectKind, canonical_identifier
from ledger.records import IssueCertificate, Statement
from ledger.store import Book, Store
from quality.errors import InputError as QualityInputError
from services.files import write_whole
from services.inspections.statements import InspectedEntry
from services.node.config import ModelSource
from services.node.dead_letters import DeadLetters, Origin
from services.node.drafts import Draft
from services.node.errors import EventRefusedError
from services.node.events import Event, read_samples
from services.node.windows import Window, Windows, WrittenWindow, build_content

if TYPE_CHECKING:
    from quality import Inference, Inspector

__all__ = ["Certified", "Certifier", "certificate_key", "load_inspector"]

_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate ready to be queued, and the inference behind it."""

    record: IssueCertificate
    draft: Draft


@dataclass(slots=True)
class _Cut:
    window: Window
    entry: EvidenceEntry
    """The event that completed it."""
    queued: bool
    """Whether that event is under an anchor in the outbox."""
    written: bool = False
    """Whether its own entry is in the log."""


@dataclass(frozen=True, slots=True)
class _Due:
    window: Window
    entry: EvidenceEntry
    """The window's own."""
    salt: bytes
    received_at_ms: int


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

    A failed lot gets no further certificates from this node: a later window of the same bad part must not release it.
    Rework produces a new lot.
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
        tell: Callable[[int, str], object] = lambda _index, _reason: None,
    ) -> None:
        """`stream`: its subject. `ledger`: chain id and contract address. `folder`: the stream's folder. `tell` is
        called with leaf and reason of each entry that gets no certificate. Raises SettingsError if the list of failed
        lots cannot be read."""
        self._tell = tell
        self._stream = stream
        self._chain_id, self._ledger = ledger
        self._model = model
        self._inspector = inspector
        self._store = store
        self._dead_letters = dead_letters
        self._windows = Windows(model.width, model.hop)
        self._cut: dict[str, _Cut] = {}
        """Windows whose entry was not read yet, by its id."""
        self._due: list[_Due] = []
        self._failed_path = folder / "failed-lots.json"
        self._failed = _read_failed(self._failed_path)

    @property
    def has_unfinished_windows(self) -> bool:
        """Whether entries fed so far still affect certificates to come. If not, a restart need not read them again."""
        return bool(self._due or self._cut) or self._windows.has_unfinished

    def feed(self, entry: EvidenceEntry, queued: bool) -> None:
        """Adds an event's samples. `queued` tells that it is under an anchor in the outbox, so that its refusal was
        listed already."""
        value = entry.entry
        if not isinstance(value, Mapping) or "lot" not in value:
            return
        try:
            samples = read_samples(value, self._model.field)
        except EventRefusedError as error:
            if not queued:  # otherwise every restart would list the same refusal again
                self._refuse(error, entry)
            return
        name, order = str(value["lot"]), value.get("order")
        # In canonical form, so that the windows of a lot are joined however its events spell the identifier.
        lot = name if name.startswith("0x") else canonical_identifier(name)
        windows = self._windows.feed(entry.index, lot, order if isinstance(order, str) else None, samples)
        self._cut.update({window.id: _Cut(window, entry, queued) for window in windows})

    def feed_window(self, entry: EvidenceEntry, written: WrittenWindow, received_at_ms: int, queued: bool) -> None:
        """Adds a window's entry. `queued` tells that its certificate is in the outbox already."""
        cut = self._cut.pop(written.id, None)
        if cut is None or queued:
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
                lot = self._find_lot(cut.window.lot)
            except EventRefusedError as error:
                del self._cut[identity]
                if not cut.queued:
                    self._refuse(error, cut.entry)
                continue
            found.append(Event(identity, None, build_content(cut.window, lot)))
        return found

    def wrote(self, windows: Sequence[Event]) -> None:
        """Call once these windows are in the log."""
        for window in windows:
            self._cut[window.id].written = True

    def build(self) -> list[Certified]:
        """Builds the certificates of all complete windows, in order. They are built again until `done` is called.
        Raises StoreError, InputError or OSError."""
        found = [self._certify(due) for due in self._due]
        return [certified for certified in found if certified is not None]

    def done(self) -> None:
        """Call once the certificates of `build` are queued."""
        self._due.clear()

    def _certify(self, due: _Due) -> Certified | None:
        window, here = due.window, [due.window.leaf, due.window.number]
        try:
            lot = bytes.fromhex(str(due.entry.entry["lot"])[2:])  # type: ignore[index,call-overload]  # a window's entry
            # An earlier window, not the same one: after a crash the failed window itself is certified again.
            if self._failed.get(lot.hex(), here) < here:
                raise EventRefusedError("lot-failed", "the lot failed inspection in an earlier window")
            inspected = InspectedEntry(lot, self._stream, due.entry.index, due.entry.leaf_hash)
            inference = self._infer(due, inspected)
        except EventRefusedError as error:
            self._refuse(error, due.entry)
            return None
        if inference.verdict is quality.Verdict.FAIL and lot.hex() not in self._failed:
            # Durable before the certificate is queued: after a crash the lot is still known as failed.
            self._failed[lot.hex()] = here
            write_whole(self._failed_path, json.dumps(self._failed).encode())
        key = certificate_key(self._stream, window.leaf, window.number)
        draft = Draft(key, inference.salt, inference.window, inference.logits)
        return Certified(IssueCertificate(self._state(due, inspected, inference)), draft)

    def _infer(self, due: _Due, inspected: InspectedEntry) -> Inference:
        context = inspected.build_context(self._chain_id, self._ledger)
        try:
            return self._inspector.inspect(due.window.samples, context=context, salt=due.salt)
        except (QualityInputError, OverflowError) as error:
            raise EventRefusedError("window-unfit", f"the model cannot read the window: {error}") from None

    def _state(self, due: _Due, inspected: InspectedEntry, inference: Inference) -> Statement:
        window = due.window
        order = bytes(32) if window.order is None else bytes.fromhex(window.order[2:])
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

    def _find_lot(self, name: str) -> bytes:
        if name.startswith("0x"):
            return bytes.fromhex(name[2:])
        with self._store.reading() as connection:
            found = [one for one in Book(connection).identities(name) if one.kind is SubjectKind.LOT]
        # Several companies may use the same identifier: certifying any one of the lots would be a guess.
        if len(found) != 1:
            raise EventRefusedError(
                "lot-unknown",
                f"this node knows {len(found)} lots by that identifier",
                hint="add the lot to this node's book, or use its subject in the event",
            )
        return found[0].subject

    def _refuse(self, error: EventRefusedError, entry: EvidenceEntry) -> None:
        """Lists an entry that gets no certificate. It remains evidence."""
        origin = Origin("certificate", f"leaf-{entry.index}", "0x" + self._stream.hex())
        self._dead_letters.add(origin, error, json.dumps(entry.entry).encode())
        self._tell(entry.index, error.reason)


def _read_failed(path: Path) -> dict[str, list[int]]:
    """Leaf and number of each lot's first failed window, by the lot's subject. Raises SettingsError."""
    try:
        found: dict[str, list[int]] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        # Without the list, a later window could pass a lot that failed before, so the node does not start.
        raise SettingsError(f"{path} cannot be read", hint="restore it from the latest backup") from None
    return found
