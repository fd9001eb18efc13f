"""The words of statements, one module per language: `english` and `chinese`, with the same codes."""
