"""Measurements that anybody can repeat: one module a table. `python -m quality bench NAME` prints them."""
