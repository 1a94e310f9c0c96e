"""The model that the sandbox serves: a logistic regression over four features.

Separate from serving it, because whoever sends requests knows it too, and so tells right answers
from wrong ones. Invariant: a model's name alone decides its weights, so that all versions of a
model are right about the same things unless a fault was asked for.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

FEATURES = 4
SPREAD = 1.5
"""Standard deviation of the logit when the features are standard normal."""


@dataclass(frozen=True, slots=True)
class ScoringModel:
    """Features to a score between 0 and 1, and from it to a label."""

    weights: tuple[float, ...]
    bias: float

    @classmethod
    def named(cls, name: str) -> ScoringModel:
        source = random.Random(f"weights of {name}")  # noqa: S311 - repeatable on purpose
        drawn = [source.gauss(0, 1) for _ in range(FEATURES)]
        scale = SPREAD / math.hypot(*drawn)
        return cls(tuple(weight * scale for weight in drawn), source.uniform(-0.5, 0.5))

    def score(self, features: Sequence[float], *, shift: float = 0.0) -> float:
        """`shift` is added to the logit."""
        logit = self.bias + shift
        for weight, feature in zip(self.weights, features, strict=True):
            logit += weight * feature
        # Both forms, so that no exponent is positive and overflows.
        if logit >= 0:
            return 1 / (1 + math.exp(-logit))
        return math.exp(logit) / (1 + math.exp(logit))

    def label(self, features: Sequence[float]) -> int:
        """The right answer."""
        return label_of(self.score(features))


def label_of(score: float) -> int:
    return int(score >= 0.5)
