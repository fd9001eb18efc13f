"""Shared by all routes: middleware, authentication, permission rules, rate limits, problems, paging."""
