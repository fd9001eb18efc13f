"""The programs around the library, on four levels. A package imports none above or beside it; import-linter checks
this.

1. entry, commands, demo: the command line and the demonstration
2. gateway, node: the two servers
3. portal, documents, webhooks, text, devchain: what they are made of
4. access, audit, idempotency, interop, inspections, relay, pictures, serving and the single modules: they need no other
   room; cli.py only knows the names of the modules that hold the commands
"""
