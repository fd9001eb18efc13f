"""What Prometheus reads. Labels are names of the configuration and words of fixed lists: never what a sender wrote."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Metrics"]

_ACK_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5)
_FRAME = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000)


class Metrics:
    """Of one node, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = at = CollectorRegistry()
        self.events = Counter("millmark_node_events", "Events by what became of them", ["stream", "fate"], registry=at)
        self.refused = Counter("millmark_node_refused", "Events refused", ["source", "reason"], registry=at)
        self.failures = Counter("millmark_node_log_failures", "Batches not taken", ["stream"], registry=at)
        self.ack = Histogram(
            "millmark_node_ack_seconds", "From a batch taken in to its entries durable", buckets=_ACK_S, registry=at
        )
        self.frames = Histogram(
            "millmark_node_frame_entries", "Entries in one group commit", ["stream"], buckets=_FRAME, registry=at
        )
        self.entries = Gauge("millmark_node_log_entries", "Durable entries", ["stream"], registry=at)
        self.anchored = Gauge("millmark_node_anchored_entries", "Entries under an anchor", ["stream"], registry=at)
        self.outbox = Gauge("millmark_node_outbox_records", "Records in the outbox", ["state"], registry=at)
        self.oldest = Gauge("millmark_node_oldest_record_seconds", "Age of the oldest record not final", registry=at)
        self.head = Gauge("millmark_node_chain_head_block", "Latest block that was seen", registry=at)
        self.stalled = Gauge(
            "millmark_node_chain_stalled_seconds", "How long the chain makes no block that is waited for", registry=at
        )
        self.chain_up = Gauge("millmark_node_chain_up", "Whether the last round reached the chain", registry=at)
