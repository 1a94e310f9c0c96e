"""Writing the approval of a rollout's step into the file of the Rollout.

Separate from reading documents, which never changes one. The invariants: only lines under
`spec.approved` of that one document are added, every other byte stays; and where the text is not of
a form that this is certain for, nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.core.errors import Refused


@dataclass(frozen=True, slots=True)
class StepApproval:
    """That somebody with role `by` approves a step, counted from 1, for one version."""

    rollout: str
    version: str
    step: int
    by: str

    @property
    def branch(self) -> str:
        return f"fairlead/approve-{self.rollout}-{self.version}-step-{self.step}"

    def __str__(self) -> str:
        version, by = (_plain(text) for text in (self.version, self.by))
        return f"{{version: {version}, step: {self.step}, by: {by}}}"


def with_approval(content: bytes, approval: StepApproval) -> bytes:
    """The file with the approval in it. Raises Refused where a person has to write it."""
    text = content.decode("utf-8")
    added = _added(text, approval)
    if _without(added, approval, count=1) != _without(text, approval, count=0):
        raise _by_hand(approval)
    return added.encode()


def _plain(text: str) -> str:
    """Names such as `1` or `no` would be read as something else."""
    return text if yaml.safe_load(text) == text else f'"{text}"'


def _added(text: str, approval: StepApproval) -> str:
    spec = _spec_of(text, approval.rollout)
    key, approved = _field(spec, "approved")
    if spec.flow_style or not spec.value:
        raise _by_hand(approval)
    lines = text.split("\n")
    margin = " " * spec.start_mark.column
    if key is None:
        at = spec.value[0][0].start_mark.line
        lines[at:at] = [f"{margin}approved:", f"{margin}- {approval}"]
        return "\n".join(lines)
    if not isinstance(approved, SequenceNode) or approved.flow_style or not approved.value:
        raise _by_hand(approval)
    first = approved.value[0].start_mark
    dash = lines[first.line].rfind("-", 0, first.column)
    if dash < 0 or lines[first.line][:dash].strip():
        raise _by_hand(approval)
    lines.insert(first.line, f"{' ' * dash}- {approval}")
    return "\n".join(lines)


def _without(text: str, approval: StepApproval, *, count: int) -> list[object]:
    """The documents, with so many of this approval taken out again."""
    documents: list[object] = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    wanted = {"version": approval.version, "step": approval.step, "by": approval.by}
    for document in documents:
        if not isinstance(document, dict) or document.get("kind") != "Rollout":
            continue
        if document.get("metadata", {}).get("name") == approval.rollout:
            given = document["spec"].pop("approved", [])
            for _ in range(count):
                given.remove(wanted)
            document["spec"]["approved"] = given
    return documents


def _spec_of(text: str, rollout: str) -> MappingNode:
    for document in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        _, kind = _field(document, "kind")
        _, metadata = _field(document, "metadata")
        _, name = _field(metadata, "name")
        _, spec = _field(document, "spec")
        if (_value(kind), _value(name)) == ("Rollout", rollout) and isinstance(spec, MappingNode):
            return spec
    raise Refused(
        f"no file declares the rollout {rollout} as it is in force",
        hint="write the approval under spec.approved by hand",
    )


def _value(node: Node | None) -> str | None:
    return node.value if isinstance(node, ScalarNode) else None


def _field(node: Node | None, name: str) -> tuple[Node | None, Node | None]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == name:
                return key, value
    return None, None


def _by_hand(approval: StepApproval) -> Refused:
    return Refused(
        f"the file of rollout {approval.rollout} is written in a way that only a person can add to",
        hint=f"add {approval} to its spec.approved",
    )
