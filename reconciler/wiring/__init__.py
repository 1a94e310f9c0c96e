"""The composition root: the only place that knows every adapter.

A module a purpose, so that a command imports only what it uses.
"""
