"""The factory agent: captures machine events durably, inspects them, and submits anchors and certificates."""
