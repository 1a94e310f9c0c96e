"""The kinds of documents that Fairlead knows, and their registry.

A kind is one file here; adding one means adding it to KINDS. What a kind turns into is decided
in core/rendering.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from reconciler.core.kinds.agent_scope import AgentScope
from reconciler.core.kinds.break_glass import BreakGlass
from reconciler.core.kinds.cluster import Cluster
from reconciler.core.kinds.common import API_GROUP, API_VERSION, Declaration
from reconciler.core.kinds.evaluation import Evaluation
from reconciler.core.kinds.gate import Gate
from reconciler.core.kinds.model import Model
from reconciler.core.kinds.prompt import Prompt
from reconciler.core.kinds.repository import Repository
from reconciler.core.kinds.role import Role
from reconciler.core.kinds.rollout import Rollout

KINDS: Mapping[str, type[Declaration]] = MappingProxyType(
    {
        declaration.__name__: declaration
        for declaration in (
            AgentScope,
            BreakGlass,
            Cluster,
            Evaluation,
            Gate,
            Model,
            Prompt,
            Repository,
            Role,
            Rollout,
        )
    }
)
"""Every kind by the name that documents give in `kind`."""

__all__ = [
    "API_GROUP",
    "API_VERSION",
    "KINDS",
    "AgentScope",
    "BreakGlass",
    "Cluster",
    "Declaration",
    "Evaluation",
    "Gate",
    "Model",
    "Prompt",
    "Repository",
    "Role",
    "Rollout",
]
