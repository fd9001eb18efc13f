"""Re-executes a verdict from an extract: a small JSON file that contains the model and needs neither chain nor ledger.
The extract's layout is section 9 of `quality/FORMAT.md`. Needs neither numpy nor torch."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from millmark.quality.errors import AuditError, InputError, ModelError
from millmark.quality.inference import MAX_FIXED, MAX_WIDTH, Inference, Verdict, build_input_commitment, pack_window
from millmark.quality.model import Model, load_family, model_digest, parse_model

EXTRACT_FORMAT = "millmark/audit/1"
MAX_EXTRACT_BYTES = 4 * 2**20
"""Room for a model of 1 MiB in base64, the widest window, and everything else."""
CONTEXT_TAG = b"millmark.inference-context.v1\0"
WINDOW_TAG = b"millmark.evidence.v1\0\x02"
MAX_PROOF_HASHES = 64
ESTABLISHED = (
    "the model's bytes have the stated digest",
    "the inference is bound to the stated ledger, lot and evidence entry",
    "the evidence entry is this window, measured of this lot",
    "the model computes the stated logits and verdict from this window of measured integers",
    "the stated inference digest commits to all of this",
)
NOT_ESTABLISHED = (
    "that digest and leaf are those on the ledger: look them up, or verify a bundle",
    "that the sensor measured correctly",
    "that the model is accurate: see its card",
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Binding:
    """The ledger, lot and evidence entry that an inference belongs to."""

    chain_id: int
    ledger: bytes
    """Address of the contract, 20 bytes."""
    lot: bytes
    """Subject of the lot, 32 bytes."""
    stream: bytes
    """Subject of the evidence stream, 32 bytes."""
    leaf_index: int
    """Position of the evidence entry in its stream, from 0."""
    leaf: bytes
    """Leaf hash of the evidence entry, 32 bytes."""
    entry: bytes
    """SHA-256 over the entry's salt and the entry, 32 bytes: the rest of what the leaf hash commits to."""


@dataclass(frozen=True, slots=True)
class Extract:
    """An opened inference and the values stated for it. Parsing checks forms and sizes only; `audit` establishes
    whether the values agree."""

    model: bytes
    binding: Binding
    salt: bytes
    window: tuple[int, ...]
    """The measured window: fixed-point sensor values."""
    model_digest: bytes
    input_commitment: bytes
    logits: tuple[int, ...]
    verdict: Verdict
    inference_digest: bytes
    inclusion: tuple[bytes, ...] = ()
    """Inclusion proof of the leaf under the certificate's anchor, which a challenge shows. Not audited: the anchor is
    on the ledger."""


def build_context(binding: Binding) -> bytes:
    """The context (32 bytes) that binds an inference digest to one ledger, lot and evidence entry."""
    # Words of 32 bytes each, as abi.encode lays them out, because contracts recompute this context.
    words = (
        binding.chain_id.to_bytes(32, "big"),
        binding.ledger.rjust(32, b"\0"),
        binding.lot,
        binding.stream,
        binding.leaf_index.to_bytes(32, "big"),
        binding.leaf,
    )
    return hashlib.sha256(CONTEXT_TAG + b"".join(words)).digest()


def build_window_leaf_data(binding: Binding, commitment: bytes) -> bytes:
    """What the leaf hash of a window's evidence entry is of (118 bytes)."""
    return WINDOW_TAG + binding.lot + commitment + binding.entry


def build_window_leaf(binding: Binding, commitment: bytes) -> bytes:
    """The RFC 9162 leaf hash (32 bytes) of the evidence entry of a window of the lot with this input commitment."""
    return hashlib.sha256(b"\0" + build_window_leaf_data(binding, commitment)).digest()


def audit(extract: Extract) -> tuple[str, ...]:
    """Re-execute the extract's verdict and return what that establishes.

    1. The model is canonical and has the stated digest.
    2. The window is valid for the model.
    3. Salt and window have the stated input commitment.
    4. The evidence entry is a window of this lot with that commitment: its leaf hash follows from them.
    5. The model computes the stated logits from the window, quantised by its scales.
    6. The model's threshold turns the logits into the stated verdict.
    7. The stated inference digest commits to all of this, in the context of this ledger, lot and evidence entry.

    Raises AuditError naming the first quantity that differs, with the stated and the computed value. Not established:
    `NOT_ESTABLISHED`.
    """
    model = _verify_model(extract)
    words = _verify_window(extract, model)
    window = pack_window(extract.window)
    _require_equal("input commitment", extract.input_commitment, build_input_commitment(extract.salt, window))
    _require_equal("evidence leaf", extract.binding.leaf, build_window_leaf(extract.binding, extract.input_commitment))
    logits = tuple(load_family(model.family, "records").infer_row(model, words))
    _require_equal("logits", extract.logits, logits)
    _require_equal("verdict", extract.verdict, model.decision.judge(logits))
    computed = Inference(
        context=build_context(extract.binding),
        model_digest=extract.model_digest,
        salt=extract.salt,
        window=window,
        logits=logits,
        verdict=extract.verdict,
    )
    _require_equal("inference digest", extract.inference_digest, computed.digest)
    return ESTABLISHED


def _verify_model(extract: Extract) -> Model:
    # The digest comes first: if the bytes are those of another model, the error should say that, not where they fail to
    # parse.
    _require_equal("model digest", extract.model_digest, model_digest(extract.model))
    try:
        return parse_model(extract.model)
    except ModelError as error:
        cause = f"the model is not canonical: {error.cause}"
        raise AuditError("model", "canonical bytes", error.cause, cause=cause) from error


def _verify_window(extract: Extract, model: Model) -> tuple[int, ...]:
    try:
        return tuple(load_family(model.family, "records").quantise_row(model, extract.window))
    except InputError as error:
        cause = f"the window is not valid for the model: {error.cause}"
        raise AuditError("window", "a window of this model", error.cause, cause=cause) from error


def _require_equal(quantity: str, stated: object, computed: object) -> None:
    if stated != computed:
        raise AuditError(quantity, _show(stated), _show(computed))


def _show(value: object) -> str:
    if isinstance(value, bytes):
        shown = value.hex()
        # An error is one line, so a window is cut off; digests and other values of 32 bytes are shown in full.
        return shown if len(shown) <= 64 else f"{shown[:64]}..."
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return value.name if isinstance(value, Verdict) else str(value)


def build_extract(extract: Extract) -> bytes:
    """Bytes of an extract: JSON with sorted keys and no spaces."""
    binding = extract.binding
    document: dict[str, object] = {
        "format": EXTRACT_FORMAT,
        "model": _encode(extract.model),
        "binding": {
            "chain_id": binding.chain_id,
            "ledger": _write_hex(binding.ledger),
            "lot": _write_hex(binding.lot),
            "stream": _write_hex(binding.stream),
            "leaf_index": binding.leaf_index,
            "leaf": _write_hex(binding.leaf),
            "entry": _write_hex(binding.entry),
        },
        "salt": _write_hex(extract.salt),
        "window": list(extract.window),
        "inclusion": [_write_hex(one) for one in extract.inclusion],
        "stated": {
            "model_digest": _write_hex(extract.model_digest),
            "input_commitment": _write_hex(extract.input_commitment),
            "logits": list(extract.logits),
            "verdict": extract.verdict.name,
            "inference_digest": _write_hex(extract.inference_digest),
        },
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def parse_extract(content: bytes) -> Extract:
    """Parse an extract from untrusted bytes. Raises InputError unless they are JSON of exactly the documented form: at
    most 4 MiB, no duplicate and no unknown fields. Not established: that the stated values agree; see `audit`."""
    if len(content) > MAX_EXTRACT_BYTES:
        raise InputError(f"extract has {len(content)} bytes, the limit is {MAX_EXTRACT_BYTES}")
    fields = _Fields("extract", _load_json(content))
    if fields.take("format", _text) != EXTRACT_FORMAT:
        raise InputError(f"extract does not have format {EXTRACT_FORMAT}", hint="write it again with this release")
    binding, stated = (_Fields(name, fields.take(name, _object)) for name in ("binding", "stated"))
    extract = Extract(
        model=fields.take("model", _base64),
        binding=_parse_binding(binding),
        salt=fields.take("salt", _hex(32)),
        window=fields.take("window", _integers),
        inclusion=fields.take("inclusion", _hashes),
        model_digest=stated.take("model_digest", _hex(32)),
        input_commitment=stated.take("input_commitment", _hex(32)),
        logits=stated.take("logits", _integers),
        verdict=stated.take("verdict", _verdict),
        inference_digest=stated.take("inference_digest", _hex(32)),
    )
    # A field of a later format might change what the others mean.
    for part in (fields, binding, stated):
        part.require_empty()
    return extract


def _parse_binding(fields: _Fields) -> Binding:
    return Binding(
        chain_id=fields.take("chain_id", _natural),
        ledger=fields.take("ledger", _hex(20)),
        lot=fields.take("lot", _hex(32)),
        stream=fields.take("stream", _hex(32)),
        leaf_index=fields.take("leaf_index", _natural),
        leaf=fields.take("leaf", _hex(32)),
        entry=fields.take("entry", _hex(32)),
    )


class _Fields:
    """The fields of a JSON object, each to be taken exactly once."""

    def __init__(self, name: str, fields: Mapping[str, object]) -> None:
        self._name = name
        self._left = dict(fields)

    def take(self, name: str, convert: Callable[[object], T]) -> T:
        if name not in self._left:
            raise InputError(f"{self._name} has no {name!r}")
        try:
            return convert(self._left.pop(name))
        except (ValueError, TypeError) as error:
            # The converters below raise the expected form as their message.
            raise InputError(f"{name!r} of the {self._name} is not {error}") from error

    def require_empty(self) -> None:
        if self._left:
            raise InputError(f"{self._name} has an unknown field {min(self._left)!r}")


def _load_json(content: bytes) -> Mapping[str, object]:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        # json.loads keeps the last of two equal names; another parser may keep the first, and audit something else.
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise InputError("extract has a duplicate field")
        return fields

    try:
        return _object(json.loads(content.decode("utf-8", "strict"), object_pairs_hook=once))
    except (ValueError, TypeError, RecursionError) as error:
        # RecursionError: thousands of nested brackets. ValueError: also an integer of more than 4300 digits.
        raise InputError("extract is not a JSON object in UTF-8", hint="obtain it again") from error


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("an object")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a string")
    return value


def _natural(value: object) -> int:
    # bool is a subclass of int, hence the exact type.
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError("an integer from 0 to 2^53 - 1")
    return value


def _integers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_WIDTH:
        raise ValueError(f"a list of 1 to {MAX_WIDTH} integers")
    if any(type(item) is not int or abs(item) > MAX_FIXED for item in value):
        raise ValueError("a list of integers up to 2^53 - 1 in magnitude")
    return tuple(value)


def _hashes(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > MAX_PROOF_HASHES:
        raise ValueError(f"a list of at most {MAX_PROOF_HASHES} hashes")
    return tuple(map(_hex(32), value))


def _verdict(value: object) -> Verdict:
    text = _text(value)
    if text not in Verdict.__members__:
        raise ValueError("PASS or FAIL")
    return Verdict[text]


def _hex(size: int) -> Callable[[object], bytes]:
    def convert(value: object) -> bytes:
        text = _text(value)
        if len(text) != 2 + 2 * size or not text.startswith("0x") or set(text[2:]) - set("0123456789abcdef"):
            raise ValueError(f"0x and {2 * size} lower-case hex digits")
        return bytes.fromhex(text[2:])

    return convert


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode()


def _write_hex(value: bytes) -> str:
    return "0x" + value.hex()


def _base64(value: object) -> bytes:
    text = _text(value)
    try:
        decoded = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("base64url with padding") from None
    # b64decode ignores unused trailing bits, so that several texts decode to the same bytes; only one is allowed.
    if _encode(decoded) != text:
        raise ValueError("base64url with padding")
    return decoded
