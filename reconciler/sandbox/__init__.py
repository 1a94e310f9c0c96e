"""A real local control plane, for the demonstration, the tests and users' own pipelines.

Separate from everything else: it imports only the core's errors and types, and nothing but the
command line and the tests imports it.
"""

from reconciler.sandbox.binaries import Binaries, BinarySettings, locate
from reconciler.sandbox.components import Components
from reconciler.sandbox.control_plane import ControlPlane, artefacts
from reconciler.sandbox.errors import IsolationForbidden, SandboxError
from reconciler.sandbox.isolation import require_network_namespaces
from reconciler.sandbox.progress import Progress

__all__ = [
    "Binaries",
    "BinarySettings",
    "Components",
    "ControlPlane",
    "IsolationForbidden",
    "Progress",
    "SandboxError",
    "artefacts",
    "locate",
    "require_network_namespaces",
]
