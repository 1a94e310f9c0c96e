"""`fairlead schemas DIR`: write the JSON Schemas of the kinds.

Separate from core/kinds/schemas.py, which makes them and touches no file.
"""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.core.kinds.schemas import schema_files


@click.command("schemas")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def schemas_command(directory: Path) -> None:
    """Write the JSON Schemas of all kinds to DIRECTORY, for editors to complete and check by."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in schema_files().items():
        (directory / name).write_bytes(content)
    click.echo(f"{len(schema_files())} schemas written to {directory}")


if __name__ == "__main__":
    schemas_command()
