"""A model server for every pod of a sandbox with a gateway, all in one process.

Separate from the programs that make pods look as if they ran: here requests are answered, by a
small real model, in the protocols of the servers that people use.
"""
