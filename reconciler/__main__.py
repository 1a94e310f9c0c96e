"""`fairlead`, and `python -m reconciler`."""

from __future__ import annotations

import sys

from reconciler.surfaces import cli


def main() -> None:
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
