"""Work on certificates for inspectors, challengers and auditors: extracts, challenges, monitoring of models."""
