"""The factory agent: takes machine data in, keeps it, inspects, anchors, certifies, and loses nothing."""
