"""Builds the folder that the page consists of, the same bytes each time.

    python -m services.check.build NODE_MODULES FOLDER

Nothing is bundled or minified: whoever reads the folder finds Millmark's modules and the libraries' files as they are.
Large files are packed, so that a host that packs nothing serves them small all the same.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger.canonical import canonical_json
from ledger.errors import InputError, MillmarkError
from ledger.verify import Step
from ledger.verify.wording import LANGUAGES

__all__ = ["MANIFEST", "build_folder", "folder_digest", "unpack_files"]

MANIFEST = "SHA256SUMS"
_HERE = Path(__file__).parent
_LIBRARY = _HERE / "library"
_LEDGER, _PORTAL = _HERE.parents[1] / "ledger", _HERE.parent / "portal"
_CURVES = (
    "secp256k1",
    "utils",
    *(f"abstract/{name}" for name in ("curve", "der", "fft", "frost", "hash-to-curve", "modular", "weierstrass")),
)
_HASHES = ("_md", "_u64", "hmac", "sha2", "sha3", "utils")
_IMPORT = re.compile(r"""(from\s+['"])@noble/(curves|hashes)/""")
_RUNTIME = ("pyodide.asm.mjs", "pyodide.mjs")
_PACKED = ("pyodide.asm.wasm",)
_LEFT_OUT = frozenset((_HERE / "left_out.txt").read_text().split())
"""Modules of Python's library that the verifier cannot need, and that no part of Python's own start needs."""
_TELL = """import importlib, sys
for name in sys.argv[1:]: importlib.import_module(name)
for name, module in sys.modules.items():
    if name.partition(".")[0] == "ledger": print(module.__file__)"""
_MAX_S = 600
_FIXED = (1980, 1, 1, 0, 0, 0)
_CHARSET = re.compile(r"__init__|aliases|ascii|idna|latin_1|punycode|raw_unicode_escape|unicode_escape|utf_.*")


def build_folder(modules: Path, folder: Path) -> str:
    """Builds the page in `folder`, which is replaced if it has an earlier one, from the packages in `modules` (a
    node_modules folder). Returns the folder's digest. Raises InputError if the folder has anything else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} has other files, which building the page would delete", hint="name a new folder")
    files = dict(_files(modules))
    files["memory.bin"] = _memory(files)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in sorted(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / MANIFEST).write_bytes(_sums(folder))
    return folder_digest(folder)


def folder_digest(folder: Path) -> str:
    """SHA-256 of the list of a folder's files with their SHA-256, as `sha256sum` writes it, sorted by name."""
    return hashlib.sha256(_sums(folder)).hexdigest()


def _sums(folder: Path) -> bytes:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    lines = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}" for path in paths
    )
    return "".join(f"{line}\n" for line in sorted(lines, key=lambda line: line[66:])).encode()


def _files(modules: Path) -> Iterator[tuple[str, bytes]]:
    for path in (_HERE / "page").iterdir():
        yield path.name, _words(path) if path.name == "words.json" else path.read_bytes()
    for name in ("portal.css", "mark.svg", "local.js"):
        yield name, (_PORTAL / "assets" / name).read_bytes()
    yield "code.json.gz", _packed(canonical_json(dict(_code())))
    runtime = modules / "pyodide"
    for name in _RUNTIME:
        yield f"pyodide/{name}", _unmapped((runtime / name).read_bytes())
    for name in _PACKED:
        yield f"pyodide/{name}.gz", _packed((runtime / name).read_bytes())
    yield "pyodide/python_stdlib.zip.gz", _packed(_library(runtime / "python_stdlib.zip"))
    yield "pyodide/pyodide-lock.json.gz", _packed(_lock(runtime / "pyodide-lock.json"))
    for package, names in (("curves", _CURVES), ("hashes", _HASHES)):
        for name in names:
            yield (
                f"noble/{package}/{name}.js",
                _relinked((modules / "@noble" / package / f"{name}.js").read_text(), name),
            )
    for name in ("index", "decode"):
        yield f"qr/{name}.js", _unmapped((modules / "qr" / f"{name}.js").read_bytes())
    yield from _licences(modules)


def _memory(files: Mapping[str, bytes]) -> bytes:
    """The memory of the page's Python when it has started, by Node: the same wherever it runs. Raises InputError."""
    node = shutil.which("node")
    if node is None:
        raise InputError("node is not installed, which starts the page's Python", hint="it comes with npm")
    with TemporaryDirectory() as folder:
        unpack_files(files, Path(folder))
        target = Path(folder) / "memory.bin"
        command = [node, str(_HERE / "memory.mjs"), folder, str(_HERE / "image.py"), str(target)]
        # Nothing of this machine's: neither its time zone nor its language.
        settings = {"PATH": os.environ.get("PATH", ""), "TZ": "UTC"}
        done = subprocess.run(command, capture_output=True, timeout=_MAX_S, check=False, env=settings)
        if done.returncode:
            raise InputError(f"the page's Python cannot be started: {done.stderr[-500:].decode(errors='replace')}")
        return target.read_bytes()


def unpack_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes the page's files as Node needs them."""
    for name, content in files.items():
        path = folder / name.removesuffix(".gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.decompress(content) if name.endswith(".gz") else content)
    (folder / "package.json").write_text('{"type": "module"}')


def _words(path: Path) -> bytes:
    """The page's words, and those that passports have for the steps."""
    words = json.loads(path.read_text())
    for language, own in words.items():
        shared = json.loads((_PORTAL / "catalogue" / f"{language}.json").read_text())
        own |= {f"step.{step.value}": shared[f"step.{step.name}"] for step in Step}
        own |= {key: shared[key] for key in ("proof.steps", "step.done", "step.failed", "step.open")}
    return canonical_json(words)


def _licences(modules: Path) -> Iterator[tuple[str, bytes]]:
    for package in ("@noble/curves", "@noble/hashes", "qr"):
        for path in sorted((modules / package).glob("LICENSE*")):
            yield f"licences/{package.replace('/', '-').removeprefix('@')}-{path.name}", path.read_bytes()
    yield (
        "licences/README.txt",
        (
            b"pyodide: Mozilla Public License 2.0, https://github.com/pyodide/pyodide\n"
            b"Python: PSF License Agreement, https://docs.python.org/3/license.html\n"
        ),
    )


def _code() -> Iterator[tuple[str, str]]:
    """Millmark's modules that the verifier consists of, by path."""
    yield "entry.py", (_HERE / "entry.py").read_text()
    for path in (_HERE / "python").rglob("*.py"):
        yield path.relative_to(_HERE / "python").as_posix(), path.read_text()
    for path in _verifier():
        yield path.relative_to(_LEDGER.parent).as_posix(), path.read_text()
    for path in (_LEDGER / "artifacts").glob("*.json"):
        # Only where the contracts keep what: the rest of an artefact is for whoever deploys or calls them.
        layout = {"storageLayout": json.loads(path.read_text()).get("storageLayout")}
        yield path.relative_to(_LEDGER.parent).as_posix(), canonical_json(layout).decode()
    yield from _distribution("rfc8785")


def _verifier() -> list[Path]:
    """The files of the modules that the page's entry and the verifier import, as another interpreter reports them."""
    named = re.findall(r"(?m)^from (ledger[.\w]*) import", (_HERE / "entry.py").read_text())
    wanted = [*named, "ledger.verify.verifier", *(f"ledger.verify.words.{module}" for module in LANGUAGES.values())]
    command = [sys.executable, "-c", _TELL, *wanted]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_MAX_S)
    return sorted(map(Path, found.stdout.split("\n")[:-1]))


def _distribution(name: str) -> Iterator[tuple[str, str]]:
    """The files of an installed pure Python package."""
    folder = Path(str(importlib.import_module(name).__file__)).parent
    for path in folder.rglob("*.py"):
        yield path.relative_to(folder.parent).as_posix(), path.read_text()


def _library(path: Path) -> bytes:
    """Python's library without what the verifier cannot need, and with stand-ins for what asks for that. Not
    compressed: the whole is packed."""
    own = {one.relative_to(_LIBRARY).as_posix(): one for one in _LIBRARY.rglob("*.py")}
    kept = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as target:
        for name in sorted({*source.namelist(), *own}):
            if name in own:
                target.writestr(zipfile.ZipInfo(name, _FIXED), own[name].read_bytes())
            elif _is_needed(name):
                target.writestr(zipfile.ZipInfo(name, _FIXED), source.read(name))
    return kept.getvalue()


def _is_needed(name: str) -> bool:
    head, _, rest = name.partition("/")
    if head == "encodings":
        return _CHARSET.fullmatch(rest.removesuffix(".py")) is not None
    return head.removesuffix(".py") not in _LEFT_OUT


def _lock(path: Path) -> bytes:
    """Pyodide's list of packages, none of which is used."""
    return canonical_json({**json.loads(path.read_text()), "packages": {}})


def _relinked(text: str, name: str) -> bytes:
    """Imports by relative paths, since a page without a bundler or inline script has no other."""
    up = "../" * (name.count("/") + 1)
    return _unmapped(_IMPORT.sub(rf"\g<1>{up}\g<2>/", text).encode())


def _unmapped(content: bytes) -> bytes:
    return re.sub(rb"(?m)^//# sourceMappingURL=.*\n?", b"", content)


def _packed(content: bytes) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0, filename="") as file:
        file.write(content)
    return packed.getvalue()


def main(arguments: Iterable[str]) -> None:
    modules, folder = map(Path, arguments)
    try:
        print(build_folder(modules, folder))  # noqa: T201  # a build script's answer
    except MillmarkError as error:
        sys.exit(f"check_page: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
