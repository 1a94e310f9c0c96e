"""Presenting: plans and status as people read them.

One view model for every surface, so that terminal, pull request and page say the same.
"""
