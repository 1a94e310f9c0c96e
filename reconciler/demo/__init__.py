"""`fairlead demo`: the main job of the product, on a real control plane, told step by step.

A package at the top of the layers, because it plays everybody around the product: the people who
commit and delete, the remote, the clusters, and the reader who wants proof. Each step checks what
it shows; the first one that did not happen ends the demo with an error.
"""
