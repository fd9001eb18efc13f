"""Measurements behind `millmark bench`."""
