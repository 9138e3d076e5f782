"""The state machine file, and its executions played without Step Functions."""
