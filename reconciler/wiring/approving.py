"""What `fairlead approve` needs of the outside.

Separate from the daemon's own approvals, so that the command loads neither engine nor settings.
"""

from __future__ import annotations

from reconciler.adapters.git_approving import give_approval
from reconciler.surfaces.approve_command import ApproveTools
from reconciler.wiring.validating import validate_tools


def approve_tools() -> ApproveTools:
    return ApproveTools(validate_tools(), give_approval)
