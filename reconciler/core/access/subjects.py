"""Subjects: who may have access, and how a cluster calls them.

Separate because rules, sentences, objects and the request path must mean the same by a name. The
invariant: a Role is called by its name and an agent `agent/NAME`, as documents do, a rollout whose
replicas read secrets `rollout/NAME`; no name of one sort can be taken for one of another.
"""

from __future__ import annotations

import re
from typing import Final

AGENT_PREFIX: Final = "agent/"
"""Before the name of an agent wherever roles may be named, too."""

ROLLOUT_PREFIX: Final = "rollout/"
"""Before the name of a rollout where its replicas may read something."""

AGENT_NAMESPACES: Final = "agent-"
"""Before the name of an agent: the namespace that it has for itself."""

READER_UNITS: Final = "secrets/"
"""How the names of the units begin that say, in a store, what the replicas of a rollout read."""

GLASS_UNITS: Final = "break-glass/"
"""How the names of the units begin that give a Role to named people for an hour."""

SUBJECT_UNITS: Final = ("role/", "agent/", READER_UNITS, GLASS_UNITS)
"""How the names of the units begin that say nothing but who may do what."""

_WORDS: Final = re.compile(r"(Role|agent) ([a-z0-9-]+)", re.ASCII)


def glass_unit(name: str) -> str:
    """What a BreakGlass is called where units are."""
    return f"{GLASS_UNITS}{name}"


def agent_subject(name: str) -> str:
    return f"{AGENT_PREFIX}{name}"


def agent_name(subject: str) -> str | None:
    """The agent that a subject is; None for a Role."""
    return subject.removeprefix(AGENT_PREFIX) if subject.startswith(AGENT_PREFIX) else None


def rollout_name(subject: str) -> str | None:
    """The rollout that a subject is, whose replicas read secrets; None for others."""
    found = subject.removeprefix(ROLLOUT_PREFIX)
    return found if found != subject else None


def agent_namespace(name: str) -> str:
    return f"{AGENT_NAMESPACES}{name}"


def agent_username(name: str) -> str:
    """As an API server calls the agent's ServiceAccount."""
    return f"system:serviceaccount:{agent_namespace(name)}:{name}"


def in_words(subject: str) -> str:
    """The subject at the beginning of a sentence."""
    if rollout := rollout_name(subject):
        return f"Rollout {rollout}"
    agent = agent_name(subject)
    return f"Role {subject}" if agent is None else f"agent {agent}"


def subject_in(words: str) -> str | None:
    """The subject that `in_words` has put into words; None for other words."""
    found = _WORDS.fullmatch(words)
    if found is None:
        return None
    return found[2] if found[1] == "Role" else agent_subject(found[2])
