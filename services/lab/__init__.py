"""The laboratory: benchmarks, fault runs, the demonstration. Nothing here is imported by the gateway or the node."""
