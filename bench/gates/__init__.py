"""`make gates`: how often the gates err, and how many requests they need, in seeded simulations.

Separate from `make bench`, which measures time on a real API server: nothing here depends on the
machine, and the same seeds give the same figures. Rules that are in common use judge the same data.
"""
