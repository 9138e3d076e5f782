"""What makes ministack as strict as AWS; runs in ministack's environment and imports nothing else of ours."""
