"""Rows of proofs, plans and a network, which the benchmarks of their own measure in full."""

import os
import tempfile
from pathlib import Path

from millmark.services.network import find_program
from millmark.services.network.peers import NetworkError
from millmark.services.output import warn
from tests.bench.bundle import measure_bundle, measure_seals
from tests.bench.network import measure_network
from tests.bench.planning import compare_plans, summarise
from tests.bench.table.rows import Figure, Measured
from tests.bench.table.sides import MissingPeerError
from tests.faults.chains import running_chain

_VALIDATORS = 7


def measure_bundles() -> Measured:
    """CPU time of verifying a part's bundle; the file of 1,100 records is that of 26 lots."""
    figures = {}
    for name, leaves, rounds in (("1,100", 26, 5), ("5,000", 51, 12)):
        with tempfile.TemporaryDirectory() as folder, running_chain(Path(folder), need_anvil=True) as chain:
            found = measure_bundle(leaves, rounds, chain.transport)
        figures[name] = Figure(found.verify_cpu_ms, "ms")
        figures[f"{name} salts"] = Figure(found.salts_cpu_ms, "ms")
        figures[f"{name} records"] = Figure(found.records, "records")
        figures[f"{name} decode"] = Figure(found.decode_ms, "ms")
    figures["seals"] = Figure(measure_seals(_VALIDATORS), "ms")
    return Measured(figures)


def measure_plan() -> Measured:
    """Three instances of 24 orders, 10 CPU seconds a side."""
    [found] = summarise(list(compare_plans([24], range(3), 10.0)))
    figures = {"gap": Figure(found.gap_per_mille / 10, "%"), "check": Figure(found.check_ms, "ms")}
    if found.ratio is not None:
        figures["cost"] = Figure(found.ratio * 100, "% of CP-SAT's")
    return Measured(figures, {} if found.ratio is not None else {"cost": "CP-SAT alone found no plan"})


def measure_network_row() -> Measured:
    """30 seconds a side, in two turns."""
    try:
        program = find_program()
    except NetworkError as error:
        raise MissingPeerError(str(error)) from error
    found = measure_network(program, 30, 2, warn)
    figures = {
        "share": Figure(100 * found.share, "% of pre-signed"),
        "rate": Figure(found.own.per_s, "records/s"),
        "cpu": Figure(1e3 * found.own.cpu_s / max(found.own.records, 1), "ms"),
    }
    if found.index.looks:
        figures["behind"] = Figure(found.index.most, "blocks")
    return Measured(
        figures,
        {} if found.index.looks else {"behind": "the index was never looked at"},
        notes=(
            f"{found.network}, {os.cpu_count()} cores; bound by: {found.bound_by()}",
            f"index looked at {found.index.looks} times",
            *found.errors[:3],
            *found.index.errors[:3],
        ),
    )
