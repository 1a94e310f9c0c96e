"""`make bench`: the figures that the design promises, measured against a real API server.

Beside each throughput stands the API server's own limit, measured in the same run with the same
requests at the same concurrency and nothing around them, because absolute figures of a shared
machine say little.
"""
