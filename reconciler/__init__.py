"""Fairlead: from a Git commit to live clusters. Start reading at docs/architecture.md."""

__version__ = "0.1.0"
