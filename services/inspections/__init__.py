"""What an inspector, a challenger and an auditor do with certificates: extracts, openings, monitoring."""
