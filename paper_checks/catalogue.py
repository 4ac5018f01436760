"""All claims, in the order of their families and numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paper_checks import alignment, dimension, estimator, feedback
from paper_checks.claim import FAMILIES, REGISTER, Claim

__all__ = ["alignment", "claims", "dimension", "estimator", "feedback"]


def _position(claim: Claim) -> tuple[int, int]:
    return FAMILIES.index(claim.family), int(re.sub(r"\D", "", claim.id))


def claims(only: Sequence[str] = (), family: str | None = None) -> list[Claim]:
    """Return the claims with these ids (all if none is given) of this family (any if None).

    Raises:
        ValueError: an id that no claim has, or nothing left.
    """
    unknown = [id for id in only if id not in REGISTER]
    if unknown:
        raise ValueError(f"no claim has the id {', '.join(unknown)}; the ids are {', '.join(c.id for c in claims())}")
    chosen = [claim for claim in REGISTER.values() if (not only or claim.id in only) and family in (None, claim.family)]
    if not chosen:
        raise ValueError(f"none of {', '.join(only)} is in the family {family}")
    return sorted(chosen, key=_position)
