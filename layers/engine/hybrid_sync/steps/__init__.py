"""One module per state of the machine: what a run does, in the words of its states."""
