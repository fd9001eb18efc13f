"""Standards that partners' systems use: GS1 Digital Link and QR, EPCIS 2.0, credentials, carbon footprints."""
