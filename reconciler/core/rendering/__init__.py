"""Turn rollouts into manifests: one module a kind of object, one entry in RUNTIMES a runtime.

The invariant: rendering is a pure function of documents, so the same commit gives the same bytes
on every machine and in every version of Python, and a revert gives the bytes of before.
"""
