"""The pure part of Fairlead: values and functions, no effects.

Nothing here opens a socket or a file, reads a clock, an environment variable or a random source.
Whatever a decision needs is a parameter, so every decision can be replayed.
"""
