"""Writes tests/vectors/bundle: a true bundle of the small factory in tests/support/bundle_chapters.py, and its trust
file. Run with the checkout as the working directory: `python -m tests.vectors.make_bundle`.

Keys and salts are new in each run, so the files differ from run to run; what they say does not.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ledger.bundle import encode_bundle
from tests.support.bundle_chapters import build_bundle_world
from tests.support.bundle_maker import make_bundle
from tests.support.stores import new_store

FOLDER = Path(__file__).parent / "bundle"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = new_store(Path(folder))
        world = build_bundle_world(store)
        bundle, trust = make_bundle(
            world, "hip-1", "hip-2", "hip-3b", "hip-4", "hip-6-pump", "hip-7", "hip-8", withhold=True, later=1
        )
        store.close()
    (FOLDER / "part.bundle").write_bytes(encode_bundle(bundle))
    (FOLDER / "trust.json").write_bytes(trust.to_bytes())


if __name__ == "__main__":
    main()
