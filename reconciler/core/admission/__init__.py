"""What a plain manifest must be before it may reach a cluster.

Separate from the kinds, because these objects are Kubernetes' own: only what can be known without
a cluster is judged here, and the server's dry run judges the rest. The invariant: what passes
names one object, in one place, without a secret value in it.
"""
