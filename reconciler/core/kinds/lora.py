"""How a LoRA adapter is served: by whom, under which name, and from where.

Separate from serving.py, whose other parts are of models with replicas of their own. The
invariant: what names an adapter has room for its digest, so that the name means one adapter alone.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from reconciler.core.kinds.common import Part
from reconciler.core.kinds.scalars import DnsLabel, TextForm

ModelAlias: TypeAlias = Annotated[
    str,
    TextForm(
        what="a name by which callers ask for a model",
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$",
        hint="use at most 100 letters, digits, '.', '_', '-' and '/', with a letter or digit at "
        "both ends; '@' sets the version apart",
        examples=("support",),
        longest=100,
    ),
]
AdapterPath: TypeAlias = Annotated[
    str,
    TextForm(
        what="a path with {digest} in it",
        pattern=r"^[A-Za-z0-9._~/%+:@-]*\{digest\}[A-Za-z0-9._~/%+:@-]*$",
        hint="write {digest}, once, where the 64 digits of the artifact's digest stand",
        examples=("/adapters/{digest}",),
    ),
]
LabelName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of a metric's label",
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        hint="use letters, digits and '_', with no digit at the start",
        examples=("model_name",),
        longest=256,
    ),
]


class Lora(Part):
    """A LoRA adapter, loaded by a model server that runs already."""

    server: DnsLabel
    """Name of the Rollout whose replicas load the adapter: of runtime deployment, in the same
    namespace and in all the clusters of this one."""
    alias: ModelAlias
    """Name by which callers ask for the model, in the header `x-model`."""
    path: AdapterPath
    """Where the server finds an adapter; `{digest}` stands for the 64 hexadecimal digits of the
    version's artifact."""
