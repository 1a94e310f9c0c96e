"""Fairlead: a change's way from a Git commit to live clusters.

The package is in layers, and imports go one way: `surfaces > engine > ports > core`, and
`adapters > ports`. Only `wiring` joins them.
"""

__version__ = "0.1.0"
