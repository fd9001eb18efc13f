"""The demonstration as in life: every company with a home, a database and a gateway of its own, and the inspector with a
node, in processes."""
