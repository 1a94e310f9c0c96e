"""The JSON Schema of the settings file, for editors: `python -m reconciler.settings_schema`.

Separate from the schemas of documents, because settings are no document of the repository. The
invariant: the same settings classes give the same bytes.
"""

from __future__ import annotations

import sys

from reconciler.core.kinds.schemas import DIALECT, SchemaGenerator, rendered
from reconciler.core.manifests import JsonValue
from reconciler.settings import Settings
from reconciler.settings_places import Address


class _Generator(SchemaGenerator):
    def encode_default(self, dft: object) -> JsonValue:
        return str(dft) if isinstance(dft, Address) else super().encode_default(dft)


def settings_schema() -> bytes:
    schema = Settings.model_json_schema(schema_generator=_Generator)
    return rendered({"$schema": DIALECT, "title": "Settings of Fairlead's daemon", **schema})


if __name__ == "__main__":
    sys.stdout.buffer.write(settings_schema())
