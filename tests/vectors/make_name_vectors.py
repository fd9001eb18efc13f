"""Writes vrf.json and names.json beside this file: `python -m tests.vectors.make_name_vectors`.

The proofs are made by the plain arithmetic of tests/support/plain_vrf.py, not by what the vectors judge. Each refusal
is a good proof with one thing changed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from millmark.ledger.ids import SubjectKind, canonical_identifier
from tests.support import plain_vrf as plain

HERE = Path(__file__).parent
Case = dict[str, Any]
SECRETS = (1, 2, plain.Q - 1, int.from_bytes(hashlib.sha256(b"millmark").digest(), "big"))
ALPHAS = (b"", b"a", b"millmark.name.v1\0", bytes(range(256)))


def main() -> None:
    """Write both files."""
    for name, cases in (("vrf", proofs()), ("names", names())):
        (HERE / f"{name}.json").write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")


def proofs() -> list[Case]:
    cases = [_good(secret, alpha) for secret in SECRETS for alpha in ALPHAS]
    for good, secret in ((cases[5], 2), (cases[14], SECRETS[3])):
        cases += [{**good, "holds": False, "output": "", **change} for change in _changes(good, secret)]
    return cases


def _good(secret: int, alpha: bytes) -> Case:
    proof = plain.prove(secret, alpha)
    return {
        "says": f"{len(alpha)} bytes under the key of {secret if secret < 9 else f'{secret:#x}'}",
        "holds": True,
        "secret": f"{secret:064x}",
        "public_key": plain.public_key(secret).hex(),
        "alpha": alpha.hex(),
        "proof": proof.hex(),
        "output": plain.output(proof).hex(),
    }


def _changes(good: Case, secret: int) -> list[Case]:
    key, alpha, proof = (bytes.fromhex(good[name]) for name in ("public_key", "alpha", "proof"))
    gamma, c, s = proof[:33], proof[33:49], proof[49:]
    point = plain.read(key)
    assert point is not None
    wide = b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")
    infinite = (int.from_bytes(c, "big") * secret % plain.Q).to_bytes(32, "big")
    other = plain.prove(secret, alpha + b"x")
    made: list[tuple[str, str, bytes]] = [
        ("alpha is longer", "alpha", alpha + b"\0"),
        ("alpha is shorter", "alpha", alpha[:-1]),
        ("alpha has one bit changed", "alpha", bytes([alpha[0] ^ 1]) + alpha[1:]),
        ("the key is another", "public_key", plain.public_key(secret + 2)),
        ("the key is the point's negative", "public_key", bytes([key[0] ^ 1]) + key[1:]),
        ("the key is no point: x has none", "public_key", b"\x02" + _without_point()),
        ("the key's x is p", "public_key", b"\x02" + plain.P.to_bytes(32, "big")),
        ("the key's x is beyond p", "public_key", b"\x02" + (plain.P + 1).to_bytes(32, "big")),
        ("the key is all zeros", "public_key", bytes(33)),
        ("the key is infinity, as SEC 1 writes it", "public_key", b"\0"),
        ("the key is uncompressed", "public_key", wide),
        ("the key is hybrid", "public_key", bytes([6 + point[1] % 2]) + wide[1:]),
        ("the key has another first byte", "public_key", b"\x05" + key[1:]),
        ("the key is missing", "public_key", b""),
        ("Gamma is another point", "proof", plain.public_key(5) + c + s),
        ("Gamma is the point's negative", "proof", bytes([gamma[0] ^ 1]) + gamma[1:] + c + s),
        ("Gamma is that of another alpha", "proof", other[:33] + c + s),
        ("Gamma is no point: x has none", "proof", b"\x03" + _without_point() + c + s),
        ("Gamma's x is p", "proof", b"\x02" + plain.P.to_bytes(32, "big") + c + s),
        ("Gamma is all zeros", "proof", bytes(33) + c + s),
        ("Gamma has another first byte", "proof", b"\x04" + gamma[1:] + c + s),
        ("c is 0", "proof", gamma + bytes(16) + s),
        ("c has one bit changed", "proof", gamma + bytes([c[0] ^ 128]) + c[1:] + s),
        ("c is all ones", "proof", gamma + b"\xff" * 16 + s),
        ("s is 0", "proof", gamma + c + bytes(32)),
        ("s is the order", "proof", gamma + c + plain.Q.to_bytes(32, "big")),
        ("s is beyond the order", "proof", gamma + c + b"\xff" * 32),
        ("s has one bit changed", "proof", gamma + c + s[:-1] + bytes([s[-1] ^ 1])),
        ("s makes U infinity", "proof", gamma + c + infinite),
        ("the proof is that of another alpha", "proof", other),
        ("the proof is a byte short", "proof", proof[:-1]),
        ("the proof is a byte long", "proof", proof + b"\0"),
        ("the proof is empty", "proof", b""),
        ("s comes before c", "proof", gamma + s + c),
    ]
    return [{"says": says, name: value.hex()} for says, name, value in made]


def _without_point() -> bytes:
    """The least x of no point."""
    return next(x for n in range(9) if plain.read(b"\x02" + (x := n.to_bytes(32, "big"))) is None)


def names() -> list[Case]:
    good = [
        _name("an order", 1, SubjectKind.ORDER, 1, "urn:example:a", [7]),
        _name("a lot", 131277322940537, SubjectKind.LOT, 7, "https://example.com/01/04012345123456/21/A%2fb", [8]),
        _name("a machine under the third key", 2**64 - 1, SubjectKind.MACHINE, 2**32 - 1, "urn:example:m", [1, 2, 3]),
        _name("a stream under the second key", 1, SubjectKind.STREAM, 2, "did:example:log", [9, 5]),
    ]
    cases = list(good)
    for one in good:
        cases += [{**one, "holds": False, **change} for change in _name_changes(one)]
    return cases


def _name(says: str, chain_id: int, kind: SubjectKind, creator: int, identifier: str, secrets: list[int]) -> Case:
    ledger, ledger_id, canonical = b"\x11" * 20, b"\x22" * 32, canonical_identifier(identifier)
    place = chain_id.to_bytes(8, "big") + ledger + ledger_id
    alpha = b"millmark.name.v1\0" + place + bytes([kind]) + creator.to_bytes(4, "big") + canonical.encode()
    proofs = [plain.public_key(secret) + plain.prove(secret, alpha) for secret in secrets]
    return {
        "says": says,
        "holds": True,
        "chain_id": chain_id,
        "ledger": ledger.hex(),
        "ledger_id": ledger_id.hex(),
        "kind": int(kind),
        "creator": creator,
        "identifier": canonical,
        "hashes": [hashlib.sha256(proof[:33]).hexdigest() for proof in proofs],
        "proofs": [proof.hex() for proof in proofs],
        "salts": [plain.output(proof[33:]).hex() for proof in proofs],
    }


def _name_changes(good: Case) -> list[Case]:
    proofs, hashes = good["proofs"], good["hashes"]
    return [
        {"says": "another chain", "chain_id": good["chain_id"] - 1},
        {"says": "another ledger", "ledger": "12" * 20},
        {"says": "another ledger at the same address", "ledger_id": "23" * 32},
        {"says": "another kind", "kind": good["kind"] % 4 + 1},
        {"says": "another creator", "creator": good["creator"] - 1},
        {"says": "another identifier", "identifier": good["identifier"] + "x"},
        {"says": "another key than the registered one", "hashes": [*hashes[:-1], "00" * 32]},
        {"says": "no proof", "proofs": []},
        {"says": "a proof too few", "proofs": proofs[1:]},
        {"says": "a proof too many", "proofs": [*proofs, proofs[-1]]},
        {"says": "a proof without its key", "proofs": [*proofs[:-1], proofs[-1][66:]]},
    ]


if __name__ == "__main__":
    main()
