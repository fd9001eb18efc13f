"""What the demonstration clears away in the folder that it is given, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from millmark.ledger.errors import SettingsError
from millmark.services.demo.home import FORECASTS, JOURNAL, clear_home
from millmark.services.demo.life import clear_homes
from millmark.services.demo.run import run_demo, run_in_life
from millmark.services.devchain import JournaledChain
from millmark.services.products.loading import Catalogue
from tests.support.command_line import run_millmark


@pytest.mark.parametrize("name", ["millmark.toml", "chain.journal", "keys/treasury.key"])
def test_a_folder_with_something_of_somebody_else_is_refused_and_stays(tmp_path: Path, name: str) -> None:
    kept = tmp_path / name
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(SettingsError, match="files that are not from a demo"):
        clear_home(tmp_path)
    assert kept.read_text() == "mine"
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [kept]


def test_keys_that_somebody_put_beside_a_former_demonstrations_stay(tmp_path: Path) -> None:
    for name in ("demo.sqlite", "demo.sqlite-wal", "keys/treasury.key"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    clear_home(tmp_path)
    assert [one.name for one in tmp_path.rglob("*") if one.is_file()] == ["treasury.key"]


@pytest.mark.parametrize("clear", [clear_home, clear_homes])
def test_nothing_is_deleted_while_a_gateway_runs_on_the_forecasts(
    tmp_path: Path, clear: Callable[[Path], None]
) -> None:
    for name in ("demo.sqlite", "operator/millmark.toml", f"{FORECASTS}/demo.sqlite"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with closing(JournaledChain(tmp_path / FORECASTS / JOURNAL)), pytest.raises(SettingsError, match="uses it"):
        clear(tmp_path)
    assert (tmp_path / "demo.sqlite").exists()
    assert (tmp_path / "operator/millmark.toml").exists()


@pytest.mark.parametrize("clear", [clear_home, clear_homes])
def test_the_forecasts_of_somebody_else_stay_and_so_does_the_demo_beside_them(
    tmp_path: Path, clear: Callable[[Path], None]
) -> None:
    kept = [tmp_path / name for name in ("demo.sqlite", "operator/millmark.toml", f"{FORECASTS}/millmark.toml")]
    for one in kept:
        one.parent.mkdir(exist_ok=True)
        one.write_text("mine")
    with pytest.raises(SettingsError, match=r"forecasts contains files that are not from a demo \(millmark\.toml\)"):
        clear(tmp_path)
    assert [one.read_text() for one in kept] == ["mine"] * 3


@pytest.mark.parametrize(
    ("run", "earlier"), [(run_demo, ("demo.sqlite", "millmark.toml")), (run_in_life, ("operator/millmark.toml",))]
)
def test_a_run_that_is_interrupted_leaves_a_folder_that_the_next_one_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., object], earlier: tuple[str, ...]
) -> None:
    for name in earlier:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("millmark.services.demo.run.load_windows", lambda _: None)
    monkeypatch.setattr("millmark.services.demo.run.forecast_demand", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, 1, None, lambda _: None, Catalogue().find("implant"))


def test_an_unknown_setting_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLMARK_ORIGN", "https://parts.example")
    ended = run_millmark("demo", "--fast", "--out", tmp_path / "demo")
    assert ended.returncode == 2
    assert ended.stderr.startswith("millmark: there is no setting MILLMARK_ORIGN; unset it")
    assert not (tmp_path / "demo").exists()
