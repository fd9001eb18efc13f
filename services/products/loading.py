"""Finds products by name, file or digest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.products import MAX_FILE_BYTES, Product, parse_product
from millmark.services.files import read_bounded

FOLDER: Final = "products"
"""Folder of a company's own products, in its home."""
_MAX_FILES: Final = 1_000
_SHIPPED: Final = "shipped"


@dataclass(frozen=True, slots=True)
class Entry:
    """A product of the catalogue, or a file that is none."""

    source: str
    """The file, or "shipped"."""
    product: Product | None
    problem: str = ""
    """Why there is no product: one line."""


class Catalogue:
    """The products that a home knows. Its files are read anew for every answer, so that nothing has to be restarted."""

    def __init__(self, home: Path | None = None) -> None:
        self._folder = None if home is None else home / FOLDER

    def entries(self) -> list[Entry]:
        """The company's own products by file name, then those shipped; also its files that are none."""
        return [*self._own(), *_shipped()]

    def find(self, name_or_file: str) -> Product:
        """A product by its name, or the one in a file. A company's own comes before a shipped one of the same name.
        Raises NotFoundError for a name that no product has, ProductError or InputError for a file that is unusable."""
        path = Path(name_or_file)
        if path.suffix == ".json" or len(path.parts) > 1:
            return read_product(path)
        entries = self.entries()
        own = [one for one in entries if one.product is not None and one.product.product == name_or_file]
        files = [one.source for one in own if one.source != _SHIPPED]
        if len(files) > 1:
            raise InputError(f"{len(files)} files have the product {name_or_file}", hint=f"name one: {files[0]}")
        if own and own[0].product is not None:
            return own[0].product
        unusable = next((one for one in entries if Path(one.source).stem == name_or_file and one.problem), None)
        if unusable is not None:
            raise InputError(f"{unusable.source}: {unusable.problem}")
        names = ", ".join(sorted({one.product.product for one in entries if one.product is not None}))
        raise NotFoundError(f"no product is called {name_or_file[:80]!a}", hint=f"there are {names}; or name a file")

    def find_digest(self, digest: bytes) -> Product | None:
        """The product with a digest; None if the home knows none. Files that are not products are skipped."""
        return next((one.product for one in self.entries() if one.product and one.product.digest == digest), None)

    def _own(self) -> Iterator[Entry]:
        if self._folder is None or not self._folder.is_dir():
            return
        paths = sorted(self._folder.glob("*.json"))
        if len(paths) > _MAX_FILES:
            raise InputError(f"{self._folder} has more than {_MAX_FILES} files", hint="keep only what is offered")
        for path in paths:
            try:
                yield Entry(str(path), read_product(path))
            except InputError as error:
                yield Entry(str(path), None, str(error))


def read_product(path: Path) -> Product:
    """The product in a file. Raises ProductError, and InputError if it cannot be read."""
    return parse_product(read_bounded(path, MAX_FILE_BYTES))


def _shipped() -> Iterator[Entry]:
    folder = resources.files("millmark.services.products") / "catalogue"
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        yield Entry(_SHIPPED, parse_product(file.read_bytes()))
