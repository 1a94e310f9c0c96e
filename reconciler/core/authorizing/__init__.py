"""The decision on the request path: what a request asks for, and whether its caller may have it."""
