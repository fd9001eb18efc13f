"""W3C Verifiable Credentials 2.0: issuing, verification and status. Uses no network."""
