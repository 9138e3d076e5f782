"""The operator's command and the local stack; never shipped to Lambda."""
