"""What an operator monitors with: the document of the logs, the alert rules, and the systemd units."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no stubs
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from millmark.ledger.errors import NodeBehindError
from millmark.ledger.index import Follower, fetch_status
from millmark.ledger.store import Store
from millmark.services.gateway.follower import FollowerThread
from millmark.services.gateway.readiness import Metrics as GatewayMetrics
from millmark.services.gateway.readiness import Readiness, ReadinessReport
from millmark.services.node.intake import Metrics as NodeMetrics
from millmark.services.serving.logs import build_logger
from millmark.services.serving.loop import FailedRecords, Loop, Trouble
from tests.support.gateway_client import ServedChain
from tests.support.monitored import Site
from tests.support.stores import new_store

ROOT = Path(__file__).parents[3]
LOGS = (ROOT / "services/serving/LOGS.md").read_text()
GROUPS = yaml.safe_load((ROOT / "services/serving/alerts.yml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
UNITS = [ROOT / "services/gateway/millmark-gateway.service", ROOT / "services/node/millmark-node.service"]
LEVELS = ("info", "warning", "error", "critical")


# Logs


def _strings(node: ast.expr) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def _events(path: Path) -> Iterator[str]:
    """The names of the events that a module logs."""
    tree = ast.parse(path.read_text())
    assigned = {
        target.id: one.value
        for one in ast.walk(tree)
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name)
    }
    for call in (one for one in ast.walk(tree) if isinstance(one, ast.Call)):
        name = ast.unparse(call.func)
        if name.endswith("FailureLog"):
            said = call.args[-1]
        elif name.endswith("Loop"):
            found = [one.value for one in call.keywords if one.arg == "failed"]
            if not found:
                continue
            [said] = found
        elif (name == "log" or re.search(r"logger\.(info|warning|error|critical)$", name)) and call.args:
            said = call.args[0]
        elif name.endswith(("._report", "._tell")) and path.is_relative_to(ROOT / "ledger/submit"):
            yield from (f"transaction {word}" for word in _strings(call.args[0]))
            continue
        else:
            continue
        said = assigned.get(said.id, said) if isinstance(said, ast.Name) else said
        if not isinstance(said, ast.JoinedStr):
            yield from _strings(said)


def test_every_event_of_the_logs_is_documented_and_every_documented_one_exists() -> None:
    paths = [path for path in (ROOT / "services").rglob("*.py") if "demo" not in path.parts]
    logged = {event for path in (*paths, *(ROOT / "ledger/submit").glob("*.py")) for event in _events(path)}
    assert len(logged) > 40
    documented = re.findall(r"^\| `([^`]+)` \|", LOGS, re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == logged | {"log lines lost"}


# Alerts


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as opened:
        yield opened


def _samples(registry: CollectorRegistry) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


_EXPRESSION = re.compile(
    r"(?:(?:rate|increase)\()?(?P<metric>\w+)(?:\{(?P<labels>[^}]*)\})?(?:\[\w+\]\))? "
    r"(?P<operator>==|>) (?P<value>[0-9.]+)"
)


def _fires(rule: dict[str, Any], registry: CollectorRegistry) -> bool:
    """Whether an expression of the simple form that all rules have is true. A rate counts as the counter itself."""
    match = _EXPRESSION.fullmatch(rule["expr"])
    assert match is not None, rule["expr"]
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', match["labels"] or ""))
    values = [
        value for labels, value in _samples(registry).get(match["metric"], []) if wanted.items() <= labels.items()
    ]
    limit = float(match["value"])
    return any(value == limit if match["operator"] == "==" else value > limit for value in values)


def _fired(registry: CollectorRegistry) -> set[str]:
    return {rule["alert"].removeprefix("Millmark") for rule in RULES if _fires(rule, registry)}


def test_every_rule_has_what_its_reader_needs() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert re.fullmatch(r"Millmark(Gateway|Node)[A-Z]\w+", rule["alert"])
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "remedy"}
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"[0-9]+[sm]", rule.get("for", "0s"))


class _Gateway:
    """A gateway's metrics, with what its readiness found given."""

    def __init__(self, store: Store) -> None:
        site = Site(store)
        Follower(site.chain, store).follow()
        logger = build_logger()
        self.chain: ServedChain = site.chain
        self.metrics = GatewayMetrics()
        self.follower = FollowerThread(site.chain, store, 1.0, logger)
        self.loop = Loop("millmark-follower", lambda: 1.0, logger, failed="", retry_s=1.0)
        self.readiness = Readiness(store, self.follower, [self.loop], FailedRecords(None, logger, signers=()), logger)  # type: ignore[arg-type]  # not looked at
        self.index = fetch_status(store)

    def show(self, *troubles: Trouble, alarm: str = "", **outbox: int) -> CollectorRegistry:
        alarms = [Trouble("x", alarm, "", 0.0)] if alarm else []
        self.readiness._report = ReadinessReport(troubles, alarms, self.index, time.monotonic())
        shown = self.metrics.show(self.readiness, self.follower, outbox, {"waiting": 2}).decode()
        assert list(text_string_to_metric_families(shown))
        return self.metrics.registry


def test_the_gateways_rules_fire_when_they_should(store: Store) -> None:
    gateway = _Gateway(store)
    assert "GatewayIndexStale" in _fired(gateway.show()), "before the first look"
    gateway.follower._round()
    assert not _fired(gateway.show(final=7, failed=0))
    assert _fired(gateway.show(Trouble("database", "store-failed", "", 0.0))) == {"GatewayNotReady"}
    assert _fired(gateway.show(failed=1)) == {"GatewayRecordFailed"}
    assert _fired(gateway.show(alarm="head-frozen")) == {"GatewayHeadFrozen"}
    assert _fired(gateway.show(alarm="rounds-late")) == {"GatewayRoundsLate"}
    assert _fired(gateway.show(alarm="key-funds-low")) == {"GatewayKeyFundsLow"}
    assert _fired(gateway.show(alarm="log-lost")) == {"GatewayLogLost"}
    assert _fired(gateway.show(alarm="handovers-waiting")) == {"GatewayHandoversWait"}
    assert _fired(gateway.show(alarm=NodeBehindError.code)) == {"GatewayChainBehind"}
    gateway.metrics.observe("/v1/lots", "GET", 200, 0.1)
    gateway.metrics.observe(None, "ODD", 404, 0.1)
    assert not _fired(gateway.show())
    gateway.metrics.observe("/v1/lots", "GET", 503, 0.1)
    assert _fired(gateway.show()) == {"GatewayErrors"}
    gateway.loop.deaths = 1
    assert _fired(gateway.show()) == {"GatewayErrors", "GatewayThreadDied"}


def test_the_nodes_rules_fire_when_they_should() -> None:
    metrics = NodeMetrics()
    metrics.ready.set(1)
    metrics.chain_up.set(1)
    metrics.outbox.labels("final").set(9)
    assert not _fired(metrics.registry)
    metrics.ready.set(0)
    metrics.chain_up.set(0)
    metrics.outbox.labels("failed").set(1)
    metrics.stalled.set(200)
    metrics.oldest.set(1000)
    metrics.failures.labels("bench").inc()
    for where, code in (("log", "log-lost"), ("chain", NodeBehindError.code), ("bench", "source-disconnected")):
        metrics.troubles.labels(where, code).set(1)
    assert _fired(metrics.registry) == {
        rule["alert"].removeprefix("Millmark") for rule in RULES if rule["alert"].startswith("MillmarkNode")
    }


def test_callers_cannot_make_new_series() -> None:
    metrics = GatewayMetrics()
    for number in range(20):
        metrics.observe(None, f"METHOD{number}", 400 + number, 0.0)
    assert len(_samples(metrics.registry)["millmark_gateway_requests_total"]) == 1


# Units


def _settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if re.match(r"\w+=", line):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_both_units_are_hardened_alike() -> None:
    """`systemd-analyze security --offline=true FILE` rates both "OK"."""
    gateway, node = map(_settings, UNITS)
    own = {
        "Description",
        "After",
        "ExecStart",
        "Environment",
        "StateDirectory",
        "TimeoutStopSec",
        "MemoryMax",
        "TasksMax",
    }
    assert set(gateway) == set(node)
    assert {name: value for name, value in gateway.items() if name not in own} == {
        name: value for name, value in node.items() if name not in own
    }
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateDevices", "RestrictNamespaces", "LockPersonality"):
        assert gateway[name] == ["yes"]
    assert (gateway["User"], gateway["CapabilityBoundingSet"], gateway["LimitCORE"]) == (["millmark"], [""], ["0"])
