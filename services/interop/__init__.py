"""What partners' systems already speak: GS1 Digital Link and QR, EPCIS 2.0, credentials, inspection certificates."""
