"""All claims, in the order of their families and numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paper_checks import alignment, dimension, estimator, feedback, learning
from paper_checks.claim import FAMILIES, REGISTER, Claim

__all__ = ["alignment", "claims", "dimension", "estimator", "feedback", "learning"]


ALL = "all"
"""Both tiers."""


def _position(claim: Claim) -> tuple[int, str, int, str]:
    letter, number = re.match(r"(\D+)(\d+)", claim.id).groups()  # type: ignore[union-attr]
    return FAMILIES.index(claim.family), letter, int(number), claim.id


def claims(only: Sequence[str] = (), family: str | None = None, tier: str = ALL) -> list[Claim]:
    """Return the claims with these ids (all if none is given) of this family (any if None) and this tier.

    Raises:
        ValueError: an id that no claim has, or nothing left.
    """
    unknown = [id for id in only if id not in REGISTER]
    if unknown:
        raise ValueError(f"no claim has the id {', '.join(unknown)}; the ids are {', '.join(c.id for c in claims())}")
    chosen = [
        claim
        for claim in REGISTER.values()
        if (not only or claim.id in only) and family in (None, claim.family) and tier in (ALL, claim.tier)
    ]
    if not chosen:
        what = f"none of {', '.join(only)}" if only else "no claim"
        where = [f"in the family {family}"] * bool(family) + [f"in the tier {tier}"] * (tier != ALL)
        raise ValueError(f"{what} is {' and '.join(where)}")
    return sorted(chosen, key=_position)
