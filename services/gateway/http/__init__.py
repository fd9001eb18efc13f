"""What every route of the gateway shares: middleware, authentication, permissions, limits, problems, paging."""
