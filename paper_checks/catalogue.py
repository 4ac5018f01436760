"""All claims, in the order of their families and numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nmnc_ref.oracle.command_line import nearest
from paper_checks import alignment, dimension, estimator, feedback, learning
from paper_checks.claim import FAMILIES, REGISTER, Claim

__all__ = ["alignment", "claims", "dimension", "estimator", "feedback", "learning", "named"]


ALL = "all"
"""Both tiers."""


def _position(claim: Claim) -> tuple[int, str, int, str]:
    letter, number = re.match(r"(\D+)(\d+)", claim.id).groups()  # type: ignore[union-attr]
    return FAMILIES.index(claim.family), letter, int(number), claim.id


def named(words: Sequence[str]) -> list[str]:
    """Return the ids that a person has written, in any case, with commas or without.

    Raises:
        ValueError: an id that no claim has.
    """
    known = {id.casefold(): id for id in REGISTER}
    asked = [each.strip() for word in words for each in word.split(",")]
    asked = [each for each in asked if each] or asked  # a comma at the end is none between
    unknown = [each for each in asked if each.casefold() not in known]
    if unknown:
        hint = nearest(unknown[0], known.values()) or "; --list shows all"
        raise ValueError(f"no claim has the id {', '.join(unknown)}{hint}")
    return [known[each.casefold()] for each in asked]


def claims(only: Sequence[str] = (), family: str | None = None, tier: str = ALL) -> list[Claim]:
    """Return the claims with these ids (all if none is given) of this family (any if None) and this tier.

    Raises:
        ValueError: nothing is left, or not all of those with these ids.
    """
    chosen = [
        claim
        for claim in REGISTER.values()
        if (not only or claim.id in only) and family in (None, claim.family) and tier in (ALL, claim.tier)
    ]
    left_out = [id for id in only if id not in {claim.id for claim in chosen}]
    if left_out or not chosen:
        what = f"{', '.join(left_out)}: not" if left_out else "no claim is"
        where = [f"in the family {family}"] * bool(family) + [f"in the tier {tier}"] * (tier != ALL)
        raise ValueError(f"{what} {' and '.join(where)}")
    return sorted(chosen, key=_position)
