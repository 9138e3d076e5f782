"""What is asked over HTTP: the API for programs, the operator's commands, and who may ask."""
