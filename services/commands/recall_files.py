"""Bundle files of `millmark recall --bundle`."""

from __future__ import annotations

from pathlib import Path

from ledger.chain import Chain
from ledger.checkpoint import SignedCheckpoint
from ledger.provenance import Recall, build_recall_bundles
from ledger.store import Store
from services.commands.bundle import describe_bundle
from services.files import write_whole

__all__ = ["describe_files", "write_recall"]


def write_recall(
    store: Store, chain: Chain, found: Recall, output: Path, checkpoint: SignedCheckpoint | None
) -> list[dict[str, object]]:
    """Writes `output`, or several files with numbered names if one would be too large; returns a summary of each.

    All are built before the first is written. Raises InputError, and the errors of `build_recall_bundles`.
    """
    # All before the first is written, so that a failure leaves no incomplete set of files.
    built = [bundle.data for bundle in build_recall_bundles(store, chain, found, checkpoint)]
    paths = [output] if len(built) == 1 else [_numbered(output, place) for place in range(1, len(built) + 1)]
    for path, data in zip(paths, built, strict=True):
        write_whole(path, data)
    return [describe_bundle(data, path) for path, data in zip(paths, built, strict=True)]


def _numbered(path: Path, place: int) -> Path:
    return path.with_name(f"{path.stem}-{place}{path.suffix}")


def describe_files(found: Recall, files: list[dict[str, object]]) -> list[str]:
    """Lines that say which files were written, and what they prove and do not prove."""
    if not files:
        return ["no lot is affected, so no file is written"]
    lines = [f"{len(files)} files, because one would be too large"] if len(files) > 1 else []
    for file in files:
        size = f"{file['records']} records, {file['bytes']} bytes, as of block {file['block_number']}"
        lines.append(f"written to {file['file']}: {size}; verify it with --any-status")
    lines.append("proved: each lot's whole history, with its certificates, order and holder, and what was made from it")
    if found.lot is None:
        lines.append("not proved: that these are all lots of that model or machine, which only the index says")
    if found.truncated:
        lines.append("not proved: anything about the lots that were cut off")
    return lines
