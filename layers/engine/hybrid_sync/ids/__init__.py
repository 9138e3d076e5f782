"""Integer to UUID: minting, the id map and its cache."""
