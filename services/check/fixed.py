"""The files of the page that are not ours, as they are published: packed in one committed archive, so that packing the
page needs Python alone.

    python -m millmark.services.check.fixed NODE_MODULES     packs them anew from the packages of package.json

`fixed.sha256` lists what must be in the archive. The list alone decides: another liblzma packs otherwise.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from millmark.ledger.canonical import canonical_json
from millmark.ledger.errors import InputError

_HERE = Path(__file__).parent
_ARCHIVE, _SUMS = "fixed.tar.xz", "fixed.sha256"
_CURVES = (
    "secp256k1",
    "utils",
    *(f"abstract/{name}" for name in ("curve", "der", "fft", "frost", "hash-to-curve", "modular", "weierstrass")),
)
_HASHES = ("_md", "_u64", "hmac", "sha2", "sha3", "utils")
_IMPORT = re.compile(r"""(from\s+['"])@noble/(curves|hashes)/""")
_MOMENT = (1980, 1, 1, 0, 0, 0)


def read_fixed(folder: Path = _HERE) -> dict[str, bytes]:
    """The files by their names on the page; Python's library whole, and not compressed. Raises InputError if the
    archive is missing, or has other files than its list."""
    archive, wanted = folder / _ARCHIVE, _read_sums(folder)
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(archive)), mode="r:") as opened:
            files = {one.name: _content(opened, one) for one in opened if one.name in wanted}
    except tarfile.TarError as error:
        raise _unusable(archive, f"cannot be read: {error}") from None
    for name, digest in wanted.items():
        if name not in files or hashlib.sha256(files[name]).hexdigest() != digest:
            raise _unusable(archive, f"has {name} with another checksum than {_SUMS}, or lacks it")
    return files


def list_sums(files: Mapping[str, bytes]) -> bytes:
    """The SHA-256 of files, sorted by name, as `sha256sum` writes them."""
    return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()


def write_fixed(files: Mapping[str, bytes], folder: Path = _HERE) -> None:
    """Packs the files, and lists them."""
    with tarfile.open(folder / _ARCHIVE, "w:xz", preset=9, format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    (folder / _SUMS).write_bytes(list_sums(files))


def collect_fixed(modules: Path) -> Iterator[tuple[str, bytes]]:
    """The files that the page needs of the packages in `modules` (a node_modules folder)."""
    runtime = modules / "pyodide"
    for name in ("pyodide.asm.mjs", "pyodide.mjs"):
        yield f"pyodide/{name}", _unmapped((runtime / name).read_bytes())
    # Compressed here once: zlib's successors give other bytes, and the page must have the same wherever it is packed.
    wasm = (runtime / "pyodide.asm.wasm").read_bytes()
    yield "pyodide/pyodide.asm.wasm.gz", gzip.compress(wasm, 9, mtime=0)
    yield "pyodide/python_stdlib.zip", _stored(runtime / "python_stdlib.zip")
    yield "pyodide/pyodide-lock.json", _lock(runtime / "pyodide-lock.json")
    for package, names in (("curves", _CURVES), ("hashes", _HASHES)):
        for name in names:
            text = (modules / "@noble" / package / f"{name}.js").read_text("utf-8")
            yield f"noble/{package}/{name}.js", _relinked(text, name)
    for name in ("index", "decode"):
        yield f"qr/{name}.js", _unmapped((modules / "qr" / f"{name}.js").read_bytes())
    yield from _licences(modules)


def _licences(modules: Path) -> Iterator[tuple[str, bytes]]:
    for package in ("@noble/curves", "@noble/hashes", "qr"):
        for path in sorted((modules / package).glob("LICENSE*")):
            yield f"licences/{package.replace('/', '-').removeprefix('@')}-{path.name}", path.read_bytes()
    for path in (_HERE / "licences").iterdir():  # which the package of Pyodide lacks
        yield f"licences/{path.name}", path.read_bytes()


def _read_sums(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / _SUMS).read_text("utf-8").splitlines()
    except OSError as error:
        raise _unusable(folder / _SUMS, f"cannot be read: {error.strerror}") from None
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _unpacked(archive: Path) -> bytes:
    try:
        import lzma  # noqa: PLC0415 - some builds of Python lack it, and gateways do without
    except ImportError:
        raise InputError(f"{archive} cannot be unpacked: this Python has no lzma", hint="use another build") from None
    try:
        return lzma.decompress(archive.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise _unusable(archive, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    return b"" if opened is None else opened.read()


def _unusable(path: Path, cause: str) -> InputError:
    hint = f"get it back with `git checkout services/check/{_ARCHIVE} services/check/{_SUMS}`"
    return InputError(f"{path} {cause}", hint=hint)


def _stored(path: Path) -> bytes:
    """An archive of the same files, not compressed: the whole is packed, and by another program than its own."""
    kept = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(source.namelist()):
            target.writestr(zipfile.ZipInfo(name, _MOMENT), source.read(name))
    return kept.getvalue()


def _lock(path: Path) -> bytes:
    """Pyodide's list of packages, none of which is used."""
    return canonical_json({**json.loads(path.read_text("utf-8")), "packages": {}})


def _relinked(text: str, name: str) -> bytes:
    """Imports by relative paths, since a page without a bundler or inline script has no other."""
    up = "../" * (name.count("/") + 1)
    return _unmapped(_IMPORT.sub(rf"\g<1>{up}\g<2>/", text).encode())


def _unmapped(content: bytes) -> bytes:
    return re.sub(rb"(?m)^//# sourceMappingURL=.*\n?", b"", content)


if __name__ == "__main__":
    write_fixed(dict(collect_fixed(Path(sys.argv[1]))))
