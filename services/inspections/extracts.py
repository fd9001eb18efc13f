"""Extracts of certified inferences from the private book, for re-execution by `python -m quality audit`."""

from __future__ import annotations

import json

from ledger.chain import Chain
from ledger.errors import NotFoundError
from ledger.provenance import Reader, find_certificate, open_reader
from ledger.store import Store
from ledger.store.rows import CertificateRow, ModelRow
from quality.audit import Binding, Extract
from quality.digest import build_input_commitment
from quality.errors import QualityError
from quality.model import load_family, model_digest, parse_model
from services.inspections.statements import to_model_verdict

__all__ = ["find_extract", "find_model"]


def find_extract(store: Store, chain: Chain | None, name: str, certificate: int | None = None) -> Extract:
    """The opened inference of the lot's certificate with the given sequence, by default of its latest certificate.

    Verdict and digests are those of the ledger; input, salt and logits are those in the book, unverified. Raises
    NotFoundError if certificate, inference or model are not known here.
    """
    with open_reader(store) as reader:
        row = find_certificate(reader, name, certificate)
        kept = reader.book.inference(row.sequence)
        if kept is None:
            raise NotFoundError(
                f"the inference of certificate {row.sequence} is not stored here",
                hint="ask the inspector that issued the certificate for an extract",
            )
        content = find_model(reader, chain, row.model)
        binding = Binding(
            chain_id=reader.identity.chain_id,
            ledger=reader.identity.ledger,
            lot=row.lot,
            stream=row.stream,
            leaf_index=row.leaf_index,
            leaf=row.leaf_hash,
        )
        return Extract(
            model=content,
            binding=binding,
            salt=kept.salt,
            input=kept.input,
            measured=_find_measured(reader, row, content, kept.input),
            model_digest=reader.need(ModelRow, row.model).digest,
            input_commitment=build_input_commitment(kept.salt, kept.input),
            logits=tuple(json.loads(kept.logits)),
            verdict=to_model_verdict(row.verdict),
            inference_digest=row.inference_digest,
        )


def find_model(reader: Reader, chain: Chain | None, number: int) -> bytes:
    """A model's canonical bytes, from the book or else from the chain. Their digest is the registered one.

    Raises NotFoundError if neither has them.
    """
    row = reader.need(ModelRow, number)
    kept = reader.book.model(row.digest)
    if kept is not None:
        return kept.content
    # The first byte of the contract code is a zero, which stops any call to it from executing the model's bytes.
    content = b"" if chain is None or row.code is None else chain.node.code(row.code)[1:]
    if model_digest(content) != row.digest:
        raise NotFoundError(
            f"the bytes of model {number} are not stored here", hint="add them with `millmark quality keep FILE`"
        )
    return content


def _find_measured(reader: Reader, row: CertificateRow, content: bytes, quantised: bytes) -> tuple[int, ...] | None:
    """The measured window in the evidence entry, if the model quantises it to this input; otherwise None.

    The name of the window's member is up to the writer of the entry, so the first list of integers that has the model's
    width is tried. An extract without a window is valid.
    """
    kept = reader.book.evidence_entry(row.stream, row.leaf_index)
    entry = None if kept is None else kept.entry
    model = parse_model(content)
    for value in entry.values() if isinstance(entry, dict) else ():
        if isinstance(value, list) and len(value) == model.width and all(type(item) is int for item in value):
            return _window_of(tuple(value), content, quantised)
    return None


def _window_of(window: tuple[int, ...], content: bytes, quantised: bytes) -> tuple[int, ...] | None:
    model = parse_model(content)
    try:
        words = load_family(model.family, "plain").quantise_row(model, window)
    except QualityError:
        return None
    packed = b"".join(word.to_bytes(model.word_size, "big", signed=True) for word in words)
    return window if packed == quantised else None
