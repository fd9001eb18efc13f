"""The demo: eight companies make and deliver personalised orders on an embedded chain."""
