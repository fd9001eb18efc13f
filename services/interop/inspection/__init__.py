"""Inspection documents of EN 10204 in the JSON form of EN 10168 (materialidentity.org schema, version 0.5.0)."""
