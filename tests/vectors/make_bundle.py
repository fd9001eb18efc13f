"""Writes tests/vectors/bundle: a true bundle of the small factory in tests/support/bundle_world.py, whose blocks
four validators seal, and two trust files: one names the block, one lists the validators. Run with the checkout as the
working directory: `python -m tests.vectors.make_bundle`.

Keys and salts are new in each run, so the files differ from run to run; what they say does not.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from millmark.ledger.bundle import encode_bundle
from millmark.ledger.chain import fetch_validators
from millmark.ledger.keys import LocalSigner
from millmark.ledger.trust import Validator, Validators
from tests.support.bundle_maker import make_bundle
from tests.support.bundle_world import build_bundle_world
from tests.support.ledger_world import new_engine
from tests.support.stores import new_store

FOLDER = Path(__file__).parent / "bundle"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = new_store(Path(folder))
        world = build_bundle_world(store, new_engine([LocalSigner.generate() for _ in range(4)]))
        bundle, trust = make_bundle(
            world, "hip-1", "hip-2", "hip-3", "hip-4", "hip-6-pump", "hip-7", "hip-8", withhold=True, later=1
        )
        listed = fetch_validators(world.consortium.chain)
        store.close()
    companies = [company.number for company in world.consortium.companies]
    validators = Validators(tuple(map(Validator, listed, companies)))
    (FOLDER / "part.bundle").write_bytes(encode_bundle(bundle))
    (FOLDER / "trust.json").write_bytes(trust.to_bytes())
    (FOLDER / "sealed.json").write_bytes(replace(trust, checkpoint=validators).to_bytes())


if __name__ == "__main__":
    main()
