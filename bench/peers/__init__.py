"""The engine against its peers, over the same twelve tables of one machine."""
