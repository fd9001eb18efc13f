"""W3C Verifiable Credentials 2.0: issuing, checking, and telling whether one still holds. Works without any network."""
