"""The commands of `python -m millmark.quality`. Each module adds its options to a parser; its answer is printed as
JSON."""
