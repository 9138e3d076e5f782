"""The one loop over the bytes of every message, in C: `make environments` and the engine layer's Makefile build it.

Python can do all of it, decides where C does not want to, and is what C is tested against.
"""
