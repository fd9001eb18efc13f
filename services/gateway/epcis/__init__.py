"""EPCIS 2.0 over HTTP (REST bindings): capture, capture jobs, events, and the queries that events can be found by."""
