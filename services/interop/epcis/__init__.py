"""EPCIS 2.0 (GS1, 2022): parsing, hashing, validation, capture and queries of events. Uses no network."""
