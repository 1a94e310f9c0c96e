"""The audit log: records, their canonical bytes, the tree over them, and how to check it all."""
