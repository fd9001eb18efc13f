"""Files that are meant to fill memory or time: refused in one line, by the step, within a fixed address space."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.support.bundle_vector import TRUST, vector_bytes
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration

MEMORY = 384 << 20
"""Address space of the verifier's process, interpreter included. The largest file that is read takes 32 MiB of it."""
RESIDENT, PROCESSOR_S = 256 << 10, 5
"""Most that a verification of any file takes: KiB in memory at once, and seconds of the processor."""
_RUN = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
from millmark.ledger.verify.__main__ import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
assert peak < {RESIDENT}, f"{{peak}} KiB"
assert used.ru_utime + used.ru_stime < {PROCESSOR_S}, used
sys.exit(code)
"""
_OPENING = b'{"bundle_version":1,"chain_id":1,"claims":'
_HASH = b'"' + b"A" * 43 + b'"'


def instead(member: str, array: bytes) -> bytes:
    """The true bundle with another array in it."""
    data = vector_bytes()
    head, _, tail = data.partition(b'"%s":[' % member.encode())
    following = tail.index(b',"%s":' % _next(member))
    return head + b'"%s":' % member.encode() + array + tail[following:]


def _next(member: str) -> bytes:
    names = ["claims", "contracts", "evidence", "headers", "histories", "identities", "inferences", "keys", "ledger"]
    names += ["machines", "models", "nodes", "participants", "parts", "records", "registry", "signatures", "streams"]
    return names[names.index(member) + 1].encode()


def array(*items: bytes) -> bytes:
    return b"[" + b",".join(items) + b"]"


def text(number: int, size: int) -> bytes:
    return b'"%s"' % base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=")


def proofs(count: int) -> bytes:
    return array(*(b'{"consistency":[],"inclusion":[],"record":%d,"shown":null}' % one for one in range(count)))


def evidence(entry: bytes, count: int) -> bytes:
    shown = b'{"consistency":[],"inclusion":[],"record":%d,"shown":{"entry":%s,"kind":1,"salt":%s}}'
    return instead("evidence", array(*(shown % (one, entry, _HASH) for one in range(count))))


def claims(paths: Iterable[bytes], shown: bytes, count: int) -> bytes:
    whole = b'{"paths":[%s],"proof":[],"shown":[%s],"version":1}' % (b",".join(paths), shown)
    return instead("claims", array(*(b'{"disclosure":%s,"record":%d,"root":0}' % (whole, one) for one in range(count))))


def rare(count: int) -> Iterable[str]:
    """Characters beyond the 16 bits that JSON sorts by: the slowest names."""
    return (chr(0x10000 + one) for one in range(count))


def links(count: int) -> Iterable[bytes]:
    numbers = b",".join([b"1"] * 130_000)
    return (b'{"records":[%s],"subject":%s}' % (numbers, text(one, 32)) for one in range(count))


FILES: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "100 MB of brackets": (lambda: b"[" * 100_000_000, 2, "not a bundle"),
    "100 MB of nested arrays": (lambda: _OPENING + b"[" * 100_000_000, 1, "more than 33554432 bytes"),
    "33 MB of nested objects": (
        lambda: _OPENING + b'[{"disclosure":' + b'{"a":' * 6_600_000, 1, "nested more than 40",
    ),
    "33 MB of digits": (lambda: b'{"bundle_version":1,"chain_id":' + b"9" * 33_000_000, 1, "beyond 9007199254740991"),
    "33 MB of escaped quotes": (
        lambda: _OPENING + b'[{"disclosure":{"a":"' + b'\\"' * 16_500_000, 1, "longer than 4194304 bytes",
    ),
    "a million nodes": (lambda: instead("nodes", array(*(text(one, 9) for one in range(10**6)))), 1, "131072 nodes"),
    "as many nodes as there may be": (
        lambda: instead("nodes", array(*(text(one, 180) for one in range(1 << 17)))), 1, "step 2 (trust)",
    ),
    "half a million small proofs": (lambda: instead("evidence", proofs(500_000)), 1, "more than 16384 evidence"),
    "as many small proofs as there may be": (lambda: instead("evidence", proofs(1 << 14)), 1, "step 9 (evidence)"),
    "a proof of 700,000 hashes": (
        lambda: instead("evidence", b'[{"consistency":' + array(*([_HASH] * 700_000))), 1, "more than 64 hashes",
    ),
    "a history of a million records": (
        lambda: instead("histories", b'[{"records":' + array(*(b"%d" % one for one in range(10**6)))), 1,
        "more than 131072 records",
    ),
    "a header of sixteen thousand lists": (
        lambda: instead("headers", array(b'"%s"' % base64.urlsafe_b64encode(b"\xf9\x3f\xfd" + b"\xc0" * 16_381))), 1,
        "step 1 (format)",
    ),
    "31 MB of empty arrays": (
        lambda: evidence(array(*[b"[]"] * 1_300_000), 8), 1, "more than 262144 values are disclosed",
    ),
    "as many numbers as there may be": (
        lambda: evidence(array(*[b"5e-324"] * 260_000), 1), 1, "step 9 (evidence)",
    ),
    "as many rare names as there may be": (
        lambda: evidence(b"{" + b",".join(b'"%s":1' % one.encode() for one in rare(130_000)) + b"}", 2), 1,
        "step 9 (evidence)",
    ),
    "30 MB of rare text": (lambda: evidence(b'"' + chr(0x1F600).encode() * 990_000 + b'"', 8), 1, "step 9 (evidence)"),
    "30 MB of escapes": (lambda: evidence(b'"' + b"\\u0001" * 650_000 + b'"', 8), 1, "step 9 (evidence)"),
    "a number of 4 MB": (lambda: evidence(b"9" * 3_900_000, 1), 1, "cannot be represented exactly"),
    "as many paths as there may be": (
        lambda: claims((b'["%s"]' % one.encode() for one in rare(10_000)), b"", 13), 1, "step 8 (claims)",
    ),
    "as many shown fields as there may be": (
        lambda: claims(
            (b'["%05d"]' % one for one in range(10_000)),
            b",".join(b'{"at":%d,"salt":"%s","value":1}' % (one, b"0" * 64) for one in range(10_000)), 4,
        ), 1, "step 8 (claims)",
    ),
    "120 histories of 130,000 records": (
        lambda: instead("histories", array(*links(120))), 1, "more than 524288 records of all histories",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_in_bounded_memory(tmp_path: Path, name: str) -> None:
    make, code, told = FILES[name]
    path = tmp_path / "hostile.bundle"
    path.write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(path), "--trust", str(TRUST), "--max-age", "1000000"],
        capture_output=True,
        text=True,
        check=False,
        timeout=MAX_S,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
    assert len(done.stderr) < 300


def test_the_bound_is_one() -> None:
    """What takes more is stopped by it, so that the tests above can fail."""
    script = _RUN.replace("code = main(sys.argv[1:])", f"bytearray({MEMORY})")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=MAX_S)
    assert "MemoryError" in done.stderr
