"""Gates: whether the evidence says that a new version is good enough, too bad, or neither yet.

Separate from measuring and from what follows. `judge` is the one function to call.
"""

from reconciler.core.gates.judging import judge
from reconciler.core.gates.queries import Names, filled

__all__ = ["Names", "filled", "judge"]
