"""A truth oracle for reports: random worlds on the real contracts, and questions about their parts that are answered
once from the chain's whole log and once from the report of a bundle."""
