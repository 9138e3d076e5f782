"""What the steps of a run record of an entity in the target, as those who write it and those who read it know it."""
