"""Serves every pod of a version until it is killed.

Separate so that a sandbox can start it as a program of its own, in the network of the pods.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from reconciler.sandbox.model_servers.pods import follow_pods


def main() -> None:
    """Arguments: the API server, and the directory and name of a client certificate for it."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", required=True)
    arguments.add_argument("--pki", type=Path, required=True)
    arguments.add_argument("--user", required=True)
    options = arguments.parse_args()
    asyncio.run(follow_pods(options.server, pki=options.pki, user=options.user))


if __name__ == "__main__":
    main()
