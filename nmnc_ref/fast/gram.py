"""The manifold of activity from its smaller Gram matrix, beside `manifold.fit`, which takes the SVD.

Of B samples and n units, `fit` decomposes the whole matrix X/√B, at about ten times the cost of what is here: a product
and the eigenvectors of min(B, n) rows. What is lost is accuracy: variances below eps·n of the largest are rounding
here, and about eps² of it there. So this serves large activity whose wanted components stand out, as in refits while a
network trains, and `fit` small or ill-conditioned activity. Components too weak to be told from rounding are refused.
"""

from __future__ import annotations

from nmnc_ref import manifold, moments
from nmnc_ref.arrays import Array, Float, expect, is_concrete, namespace
from nmnc_ref.checked import checked
from nmnc_ref.scalars import Count


@checked
def fit(
    activity: Float[Array, "B n"], *, dimension: Count, centring: manifold.Centring = "uncentred"
) -> manifold.Manifold:
    """U of XᵀX/B = U diag(λ) Uᵀ, or if B < n, U = Xᵀ V diag(λB)^(−½) with XXᵀ/B = V diag(λ) Vᵀ.

    Args:
        activity: X, one row for each input.
        dimension: d.
        centring: as in `manifold.fit`; "mean-added" needs B ≥ n here.

    Returns:
        The manifold, as of `manifold.fit`, with min(B, n) variances.
    """
    samples, n = activity.shape
    if samples >= n:
        of = moments.of(activity)
        return manifold.from_moments(of.mean, moments.covariance(of), dimension=dimension, centring=centring)
    xp = namespace(activity)
    expect(centring != "mean-added", "centring: expected uncentred or centred for fewer samples than units")
    mean = xp.mean(activity, axis=0)
    deviation = activity if centring == "uncentred" else activity - mean
    ascending, vectors = xp.linalg.eigh(deviation @ deviation.T / samples)
    spectrum = xp.clip(xp.flip(ascending), min=0.0)
    resolved = spectrum > xp.finfo(activity.dtype).eps * n * spectrum[0]
    rank = xp.sum(xp.astype(resolved, xp.int32))
    if is_concrete(rank) and dimension > int(rank):
        raise manifold.RankError(f"activity: expected rank of at least d = {dimension} ({centring}), got {int(rank)}")
    basis = deviation.T @ xp.flip(vectors, axis=1)[:, :dimension] / xp.sqrt(samples * spectrum[:dimension])
    negative = xp.max(basis, axis=0) + xp.min(basis, axis=0) < 0
    return manifold.Manifold(xp.where(negative, -basis, basis), spectrum, mean)
