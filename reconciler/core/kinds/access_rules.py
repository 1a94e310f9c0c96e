"""What Role and AgentScope share: actions on models, and tests of policies.

Separate so that both kinds speak of access in the same words.
"""

from __future__ import annotations

from typing import Literal

from reconciler.core.kinds.common import Part
from reconciler.core.kinds.scalars import ModelVersionName

ModelAction = Literal["infer", "retrain", "promote"]


class AccessTest(Part):
    """A claim about the policy that validation proves. Policies ship with tests."""

    can: ModelAction
    """The action."""
    model: ModelVersionName
    """The model version, written MODEL@VERSION."""
    expect: Literal["allowed", "denied"]
    """What must come out."""
