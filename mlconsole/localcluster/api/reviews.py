"""Access reviews: whoever holds the token may do everything."""

from __future__ import annotations

from typing import Any

from mlconsole.localcluster.api.bodies import decode
from mlconsole.localcluster.api.registry import Resource

Object = dict[str, Any]


def review_access(resource: Resource, value: Any) -> Object:
    """Answers a SelfSubjectAccessReview. Raises ApiError 400 for a body of another shape."""
    review = decode(value, resource).obj
    review.setdefault("metadata", {})
    return review | {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "status": {"allowed": True, "reason": "the token of the local cluster may do everything"},
    }
