"""Approvals of commits: what needs them, who gave them, and whether they suffice."""
