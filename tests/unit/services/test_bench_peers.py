"""One table of everything that is measured beside a peer: each measurement's own JSON has the ratios that it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest

from services.lab.bench.bundle import BundleFigures
from services.lab.bench.capture import Throughput
from services.lab.bench.capture_http import HttpTimes
from services.lab.bench.epcis import EpcisTimes
from services.lab.bench.genealogy import Timing
from services.lab.bench.interpreter import TwinFigures
from services.lab.bench.network import NetworkRates, Side
from services.lab.bench.peers import MEASUREMENTS, Measurement, read_ratios


def _timing(question: str) -> Timing:
    return Timing(question, 1, 1, median_ms=2.0, slowest_ms=2.0, cpu_ms=2.0, peer_ms={"objects": 60.0, "query": 7.0})


def _capture() -> dict[str, object]:
    throughput = Throughput(5000, 100.0, 10.0, 20.0, 100.0)
    times = {"node": 10.0, "plain": 300.0, "plain-memory": 200.0}
    return throughput.to_json() | {
        f"http_{name}": value for name, value in HttpTimes(100, times, times).to_json().items()
    }


def _epcis() -> dict[str, object]:
    times = {"gateway": 10.0, "peer": 300.0, "peer-memory": 200.0}
    return EpcisTimes(100, times, times, {}).to_json()


def _network() -> dict[str, object]:
    own, presigned = Side(4680, 10.0, 3.0, 5.0, 10, 250_000_000), Side(9360, 10.0, 0.1, 9.0, 10, 290_000_000)
    return NetworkRates("5 validators", own, presigned, behind=1).to_json()


def _bundle() -> dict[str, object]:
    numbers = {one.name: 1 for one in fields(BundleFigures)} | {"verify_ms": 20, "decode_ms": 5}
    return BundleFigures(**numbers).to_json()


ANSWERS: dict[str, tuple[Callable[[], object], list[float]]] = {
    "genealogy": (
        lambda: {name: _timing(name).to_json() for name in ("ancestors of a finished lot", "descendants of a coil")},
        [30.0, 3.5, 30.0, 3.5],
    ),
    "capture": (_capture, [10.0, 5.0, 30.0, 20.0]),
    "epcis": (_epcis, [30.0, 20.0]),
    "bundle": (_bundle, [0.25]),
    "network": (_network, [0.5, 4.0]),
    "interpreter": (lambda: TwinFigures(1240, 149, cpu_s=40.0, py_evm_cpu_s=100.0).to_json(), [2.5]),
    "speed": (lambda: {"ratio": 2.0}, [0.5]),
}


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda one: one.name)
def test_the_ratios_are_read_from_the_measurements_own_json(measurement: Measurement) -> None:
    build, expected = ANSWERS[measurement.name]
    rows = list(read_ratios(measurement, build()))
    assert [ratio for *_, ratio in rows] == expected
    assert {name for name, *_ in rows} == {measurement.name}
