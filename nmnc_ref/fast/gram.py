"""The manifold of activity from its smaller Gram matrix, beside `manifold.fit`, which takes the SVD.

Of B samples and n units, `fit` decomposes the whole matrix X/√B, at about ten times the cost of what is here: a product
and the eigenvectors of min(B, n) rows. What is lost is accuracy: variances below 4·eps·n of the largest are rounding
here, and about eps² of it there. So this serves large activity whose wanted components stand out, as in refits while a
network trains, and `fit` small or ill-conditioned activity. Components too weak to be told from rounding are refused.
"""

from __future__ import annotations

from typing import Annotated

from nmnc_ref import manifold
from nmnc_ref.arrays import Array, Float, expect, is_concrete, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import centred, expect_squares, mean, signed
from nmnc_ref.scalars import Choice, Count

Centring = Annotated[str, Choice("uncentred", "centred")]


@checked
def fit(activity: Float[Array, "B n"], *, dimension: Count, centring: Centring = "uncentred") -> manifold.Manifold:
    """U of XᵀX/B = U diag(λ) Uᵀ, or if B < n, U = Xᵀ V diag(λB)^(−½) with XXᵀ/B = V diag(λ) Vᵀ.

    Args:
        activity: X, one row for each input.
        dimension: d.
        centring: "uncentred": of X; "centred": of X minus its mean.

    Returns:
        The manifold, as of `manifold.fit`.
    """
    xp, (samples, n) = namespace(activity), activity.shape
    expect(n >= dimension, f"dimension: expected at most n = {n} units, got {dimension}")
    average, deviation = centred(activity) if centring == "centred" else (mean(activity), activity)
    expect_squares("activity", deviation)
    tall = samples >= n
    ascending, vectors = xp.linalg.eigh((deviation.T @ deviation if tall else deviation @ deviation.T) / samples)
    spectrum = xp.clip(xp.flip(ascending), min=0.0)
    rank = xp.sum(xp.astype(spectrum > 4 * xp.finfo(activity.dtype).eps * n * spectrum[0], xp.int32))
    if is_concrete(rank) and dimension > int(rank):
        raise manifold.RankError(f"activity: expected rank of at least d = {dimension} ({centring}), got {int(rank)}")
    basis = xp.flip(vectors, axis=1)[:, :dimension]
    basis = basis if tall else deviation.T @ basis / xp.sqrt(samples * spectrum[None, :dimension])
    return manifold.Manifold(signed(basis), spectrum, average)
