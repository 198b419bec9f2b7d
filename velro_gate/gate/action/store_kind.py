"""The kinds of places where baselines are kept, apart from their code, so that a command's help need not load it."""

from __future__ import annotations

from enum import Enum


class StoreKind(Enum):
    """Where baselines are kept."""

    BRANCH = "branch"  # a branch of its own
    PUSH = "push"  # the default branch itself
    PULL_REQUEST = "pull-request"  # proposed for the default branch
    ARTIFACT = "artifact"  # archives of finished runs
    NONE = "none"
