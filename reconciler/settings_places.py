"""What settings are written as: paths, addresses and URLs.

Separate from the settings, whose parts lie in several files and share these. The invariant: a
relative path starts from the directory of the settings file, and a URL holds no credentials.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from reconciler.core.kinds.common import refusal
from reconciler.core.kinds.scalars import Text, TextForm

BASE_DIRECTORY = "base"
"""Key of the validation context: the directory that relative paths start from."""


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        host, _, port = text.rpartition(":")
        if int(port) > 65535:
            raise ValueError(text)
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _resolved(path: Path, info: ValidationInfo) -> Path:
    base: Path = (info.context or {}).get(BASE_DIRECTORY, Path())
    return (base / path.expanduser()).absolute()


def _path(value: object) -> object:
    # pydantic would take bytes, and "" for the current directory.
    if not isinstance(value, str | Path) or not str(value):
        raise refusal("is not a path", hint="name a file or directory")
    return value


def _place(text: str, info: ValidationInfo) -> str:
    """A path as a path, and anything else as it is."""
    if text.startswith(("./", "../", "~/")):
        return str(_resolved(Path(text), info))
    return text


def _state_place(text: str, info: ValidationInfo) -> str:
    return text if "://" in text else str(_resolved(Path(text), info))


FilePath: TypeAlias = Annotated[Path, BeforeValidator(_path), AfterValidator(_resolved)]
RemotePlace: TypeAlias = Annotated[Text, AfterValidator(_place)]
StatePlace: TypeAlias = Annotated[Text, AfterValidator(_state_place)]
ListenAddress: TypeAlias = Annotated[
    Address,
    TextForm(
        what="host and port",
        pattern=r"^([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$",
        hint="write host:port, such as 127.0.0.1:9460",
        examples=("127.0.0.1:9460", "[::1]:9460"),
        read=Address.parse,
    ),
]
HttpUrl: TypeAlias = Annotated[
    str,
    TextForm(
        what="the URL of an HTTP server without credentials",
        pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$",
        hint="write http://host:port or https://host:port, with no user and no password",
        examples=("http://127.0.0.1:4318",),
    ),
]
