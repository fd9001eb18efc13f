"""The commands of `python -m quality`. Each module adds its options to a parser and answers with what JSON can hold."""
