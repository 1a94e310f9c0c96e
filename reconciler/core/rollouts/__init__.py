"""Rollouts: how a new version gets its traffic, as pure functions of commit, journal and evidence.

Separate from the engine, which measures, writes down and carries out. The invariant: nothing here
knows a clock, a cluster or a network, so that every decision can be made again from its record.
"""
