"""The demonstration as in life: every company with a home, a database and a gateway of its own, and a node that
inspects, in processes."""
