"""Cuts the signal of each lot into windows, inspects them with the model, and builds the certificates.

Windows depend on the log alone: the same entries yield the same windows after a restart.
"""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from services.node.events import read_samples

if TYPE_CHECKING:
    from quality import Inference, Inspector

__all__ = ["Certified", "Certifier", "Windows", "certificate_key", "load_inspector"]

_MAX_LOTS = 1000
"""Number of lots with an unfinished window. Beyond it, the lot with the oldest latest event is dropped."""


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive samples of one lot, in the order of the log."""

    lot: str
    order: str | None
    leaf: int
    """Index of the event that completed it."""
    number: int
    """Number among the windows that this event completed, from 0."""
    samples: tuple[int, ...]


@dataclass(slots=True)
class _Signal:
    """Samples of one lot that do not fill a window yet."""

    samples: list[int] = field(default_factory=list)
    skip: int = 0
    """Number of samples still to be skipped before the next window, if the hop is longer than the width."""


class Windows:
    """Cuts windows of `width` samples; each starts `hop` samples after the previous one."""

    def __init__(self, width: int, hop: int) -> None:
        self._width = width
        self._hop = hop
        self._signals: OrderedDict[str, _Signal] = OrderedDict()

    @property
    def has_unfinished(self) -> bool:
        """Whether any lot has samples that a later window needs, or still has samples to skip."""
        return any(signal.samples or signal.skip for signal in self._signals.values())

    def feed(self, leaf: int, lot: str, order: str | None, samples: Sequence[int]) -> list[Window]:
        """Adds an event's samples and returns the windows that they complete. `leaf`: the event's index."""
        signal = self._signals.setdefault(lot, _Signal())
        self._signals.move_to_end(lot)
        if len(self._signals) > _MAX_LOTS:
            self._signals.popitem(last=False)
        dropped = min(signal.skip, len(samples))
        signal.skip -= dropped
        signal.samples += samples[dropped:]
        found: list[Window] = []
        while len(signal.samples) >= self._width:
            window = tuple(signal.samples[: self._width])
            found.append(Window(lot, order, leaf, len(found), window))
            signal.skip = max(self._hop - len(signal.samples), 0)
            del signal.samples[: self._hop]
        return found


_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate ready to be queued, and the inference behind it."""

    record: IssueCertificate
    draft: Draft


@dataclass(frozen=True, slots=True)
class _Due:
    window: Window
    entry: EvidenceEntry
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
    ) -> None:
        """`stream`: its subject. `ledger`: chain id and contract address. `folder`: the stream's folder. Raises
        SettingsError if the list of failed lots cannot be read."""
        self._stream = stream
        self._chain_id, self._ledger = ledger
        self._model = model
        self._inspector = inspector
        self._store = store
        self._dead_letters = dead_letters
        self._windows = Windows(model.width, model.hop)
        self._due: list[_Due] = []
        self._failed_path = folder / "failed-lots.json"
        self._failed = _read_failed(self._failed_path)

    @property
    def has_unfinished_windows(self) -> bool:
        """Whether entries fed so far still affect certificates to come. If not, a restart need not read them again."""
        return bool(self._due) or self._windows.has_unfinished

    def feed(self, entry: EvidenceEntry, received_at_ms: int, queued: bool) -> None:
        """Adds an entry's samples. `queued` tells that its certificates are in the outbox already, so that it only
        counts towards unfinished windows.
        """
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
        if not queued:
            self._due += [_Due(window, entry, received_at_ms) for window in windows]

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
            lot = self._find_lot(window.lot)
            # An earlier window, not the same one: after a crash the failed window itself is certified again.
            if self._failed.get(lot.hex(), here) < here:
                raise EventRefusedError("lot-failed", "the lot failed inspection in an earlier window")
            inspected = InspectedEntry(lot, self._stream, due.entry.index, due.entry.leaf_hash)
            inference = self._infer(window, inspected)
        except EventRefusedError as error:
            self._refuse(error, due.entry)
            return None
        if inference.verdict is quality.Verdict.FAIL and lot.hex() not in self._failed:
            # Durable before the certificate is queued: after a crash the lot is still known as failed.
            self._failed[lot.hex()] = here
            write_whole(self._failed_path, json.dumps(self._failed).encode())
        key = certificate_key(self._stream, window.leaf, window.number)
        draft = Draft(key, inference.salt, inference.input, inference.logits)
        return Certified(IssueCertificate(self._state(due, inspected, inference)), draft)

    def _infer(self, window: Window, inspected: InspectedEntry) -> Inference:
        context = inspected.build_context(self._chain_id, self._ledger)
        try:
            # A new salt for each inference: otherwise equal windows would have equal commitments, and could be
            # recognised.
            return self._inspector.inspect(window.samples, context=context, salt=secrets.token_bytes(32))
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
