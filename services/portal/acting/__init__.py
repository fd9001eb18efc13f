"""Acting in the portal: forms over the operations of the API, with a summary before and the record's state after
(services/portal/ACTING.md)."""
