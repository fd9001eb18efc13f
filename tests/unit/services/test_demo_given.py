"""The user's own data for the demo: what is taken, and the one line that refuses the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from millmark.ledger.errors import InputError
from millmark.ledger.products import Product
from millmark.services.demo.given import Given, read_given, write_calendar
from millmark.services.planning.calendar import parse_calendar
from millmark.services.products import Catalogue

HEAD = "material,stroke_mm,hardening,finish,bearings,engraving,due_hours"
LINE = "42CrMo4,80,none,ground,aluminium-tin,Mara,20"


@pytest.fixture
def product() -> Product:
    return Catalogue().find("crankshaft")


def write(folder: Path, *lines: str) -> Path:
    (folder / "orders.csv").write_text("\n".join([HEAD, *lines]) + "\n", encoding="utf-8-sig")
    return folder


def test_a_file_has_windows_and_nothing_else(tmp_path: Path, product: Product) -> None:
    assert read_given(tmp_path / "windows.csv", product) == Given(windows=tmp_path / "windows.csv")
    assert read_given(None, product) == Given()


def test_orders_are_configured_and_keep_their_due_dates(tmp_path: Path, product: Product) -> None:
    given = read_given(write(tmp_path, LINE, LINE.replace(",20", ",")), product)
    assert [one.due_s for one in given.orders] == [20 * 3600, None]
    assert given.orders[0].made.options["engraving"] == "Mara"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "has 0 orders"),
        ([LINE] * 501, "has 501 orders"),
        ([LINE, LINE.replace("ground", "shiny")], "line 3: finish 'shiny'"),
        ([LINE.replace(",20", ",0")], "line 2: due_hours '0'"),
        ([LINE.replace(",20", ",tomorrow")], "line 2: due_hours 'tomorrow'"),
        ([LINE + ",more"], "line 2: the line does not have as many cells"),
        (["42CrMo4,80"], "line 2: the line does not have as many cells"),
        ([LINE.replace("ground", "polished")], "line 2: "),
    ],
)
def test_an_order_that_cannot_be_made_is_named_by_its_line(
    tmp_path: Path, product: Product, lines: list[str], said: str
) -> None:
    with pytest.raises(InputError) as refused:
        read_given(write(tmp_path, *lines), product)
    assert said in str(refused.value)


def test_an_empty_folder_is_a_mistake(tmp_path: Path, product: Product) -> None:
    with pytest.raises(InputError, match=r"has none of windows\.csv"):
        read_given(tmp_path, product)


def test_a_calendar_is_taken_and_a_wrong_one_refused_at_once(tmp_path: Path, product: Product) -> None:
    (tmp_path / "alder-forge.toml").write_text(write_calendar(product, ["FORGE-1", "FORGE-2"]))
    assert list(read_given(tmp_path, product).calendars) == ["alder-forge"]
    (tmp_path / "alder-forge.toml").write_text("time_zone = 7")
    with pytest.raises(InputError, match=r"alder-forge\.toml"):
        read_given(tmp_path, product)


@pytest.mark.parametrize("name", ["crankshaft", "implant", "appliance", "garment"])
def test_the_invented_calendars_are_calendars(name: str) -> None:
    calendar = parse_calendar(write_calendar(Catalogue().find(name), ["A", "B"]).encode())
    assert [one.machine for one in calendar.machines] == ["A", "B"]
