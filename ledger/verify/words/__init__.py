"""The words of statements, one module per language, named by its tag, with the same codes."""
