"""A stand-in for GitHub's API, and what GitHub publishes of it."""
