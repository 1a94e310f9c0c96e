"""The page's own style sheet, script and icon, under names that change with their content.

Separate so that a browser may keep them for ever. The invariant: only files that were read at the
start are served, so no path of a request ever reaches the disk.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

DIRECTORY: Final = Path(__file__).parent / "static"
PATH = "/static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str


class StaticFiles:
    """Serves what lies beside this module."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._urls: dict[str, str] = {}
        self._files: dict[str, _File] = {}
        for path in sorted(directory.iterdir()):
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:12]
            name = f"{path.stem}.{digest}{path.suffix}"
            self._urls[path.name] = f"{PATH}/{name}"
            self._files[name] = _File(content, _TYPES[path.suffix])

    def url(self, name: str) -> str:
        """Where the file of that name is now."""
        return self._urls[name]

    async def answer(self, request: Request) -> Response:
        found = self._files.get(str(request.path_params["name"]))
        if found is None:
            return PlainTextResponse("no such file\n", status_code=404)
        headers = {"Cache-Control": _FOR_EVER}
        return Response(found.content, media_type=found.media_type, headers=headers)
