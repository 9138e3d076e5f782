"""What services are asked and answer, as messages alone: whoever sends them loads no service and no driver."""
