"""The sample world: a legacy database and a target with everything that makes the real ones hard."""
