"""What `fairlead approve` and `fairlead break-glass` need of the outside.

Separate from the daemon's own approvals, so that the commands load neither engine nor settings.
"""

from __future__ import annotations

from reconciler.adapters.git_approving import give_approval
from reconciler.adapters.git_breaking import commit_document, push_commit
from reconciler.surfaces.approve_command import ApproveTools
from reconciler.surfaces.break_glass_command import BreakGlassTools
from reconciler.wiring.validating import validate_tools


def approve_tools() -> ApproveTools:
    return ApproveTools(validate_tools(), give_approval)


def break_glass_tools() -> BreakGlassTools:
    return BreakGlassTools(validate_tools(), commit_document, push_commit)
