"""Failed records: why a row could not be written, its retries, its escalation."""
