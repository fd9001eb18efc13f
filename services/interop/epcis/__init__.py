"""EPCIS 2.0 (GS1, 2022): reading documents, hashing events, judging and capturing them. Works without any network."""
