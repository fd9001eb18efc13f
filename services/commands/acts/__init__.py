"""Business acts as commands: each calls the home's own gateway, which records."""
