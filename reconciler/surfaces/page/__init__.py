"""The status page: what is so and why, for people, and nothing that changes anything.

Separate from the other endpoints, which are for machines. The invariant: every route reads; every
page is whole without JavaScript; nothing is asked of another host; and what is shown is what the
engine, the ledgers and the log say.
"""
