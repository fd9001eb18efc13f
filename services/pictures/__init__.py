"""Drawings as SVG elements of a web page: `genealogy` of lots, `gantt` of plans, `plot` of figures."""
