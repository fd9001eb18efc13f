"""Prometheus metrics. Label values come from the configuration or from fixed lists, never from senders, so their number
is bounded."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_ACK_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5)
_FRAME = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000)


class Metrics:
    """Metrics of one node, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = at = CollectorRegistry()
        self.events = Counter("millmark_node_events", "Events by outcome", ["stream", "fate"], registry=at)
        self.refused = Counter("millmark_node_refused", "Events refused", ["source", "reason"], registry=at)
        self.failures = Counter(
            "millmark_node_log_failures", "Batches that could not be made durable", ["stream"], registry=at
        )
        self.ack = Histogram(
            "millmark_node_ack_seconds",
            "Seconds from receiving a batch to its entries being durable",
            buckets=_ACK_S,
            registry=at,
        )
        self.frames = Histogram(
            "millmark_node_frame_entries", "Entries in one group commit", ["stream"], buckets=_FRAME, registry=at
        )
        self.entries = Gauge("millmark_node_log_entries", "Durable entries", ["stream"], registry=at)
        self.anchored = Gauge(
            "millmark_node_anchored_entries", "Entries under an anchor that is final", ["stream"], registry=at
        )
        self.waiting = Gauge(
            "millmark_node_waiting_windows",
            "Anchored windows whose certificates wait for the chain or for an earlier verdict",
            ["stream"],
            registry=at,
        )
        self.outbox = Gauge("millmark_node_outbox_records", "Records in the outbox", ["state"], registry=at)
        self.oldest = Gauge(
            "millmark_node_oldest_record_seconds", "Age in seconds of the oldest record that is not final", registry=at
        )
        self.head = Gauge("millmark_node_chain_head_block", "Latest block seen", registry=at)
        self.stalled = Gauge(
            "millmark_node_chain_stalled_seconds", "Seconds for which the chain has stalled", registry=at
        )
        self.chain_up = Gauge("millmark_node_chain_up", "1 if the last attempt reached the chain, else 0", registry=at)
        self.failed = Counter("millmark_node_failed_records", "Records that failed", ["kind"], registry=at)
        self.ready = Gauge("millmark_node_ready", "1 if all parts do their work, else 0", registry=at)
        self.troubles = Gauge(
            "millmark_node_troubles", "Parts that do not do their work, and alarms", ["where", "code"], registry=at
        )
        self.log_lost = Gauge("millmark_node_log_lines_lost", "Log lines that could not be written", registry=at)
