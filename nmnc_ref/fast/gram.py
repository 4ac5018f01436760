"""The manifold of activity from its smaller Gram matrix, beside `manifold.fit`, which takes the SVD.

Of B samples and n units, `fit` decomposes the whole matrix X/√B, at about ten times the cost of what is here: a product
and the eigenvectors of min(B, n) rows, in float64 where the library has it. What is lost is accuracy: variances below
4·eps·n of the largest are rounding here, with the eps of what was decomposed, and about eps² of it there. So nothing is
lost of float32 activity where there is float64, and otherwise this serves large activity whose wanted components stand
out, as in refits while a network trains. Components too weak to be told from rounding are refused.
"""

from __future__ import annotations

from typing import Annotated

from nmnc_ref import manifold
from nmnc_ref.arrays import Array, Float, is_concrete, namespace
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
        The manifold, as of `manifold.fit`; under `jax.jit`, columns beyond the rank are 0 if B < n.
    """
    xp, (samples, n) = namespace(activity), activity.shape
    manifold.expect_components(samples, n, dimension, centring)
    average, deviation = centred(activity) if centring == "centred" else (mean(activity), activity)
    expect_squares("activity", deviation)
    tall = samples >= n
    wide = _widened(deviation)
    ascending, vectors = xp.linalg.eigh((wide.T @ wide if tall else wide @ wide.T) / samples)
    spectrum = xp.clip(xp.flip(ascending), min=0.0)
    decomposed, given = (4 * xp.finfo(each.dtype).eps * n for each in (wide, activity))
    floor = max(decomposed, given**2)  # `fit` has its floor for the singular values of what is given
    of_mean = (xp.finfo(activity.dtype).eps * xp.max(xp.abs(xp.astype(average, wide.dtype)))) ** 2
    seen = spectrum > xp.maximum(floor * spectrum[0], of_mean)
    rank = xp.sum(xp.astype(seen, xp.int32))
    if is_concrete(rank) and dimension > int(rank):
        raise manifold.RankError(f"activity: expected rank of at least d = {dimension} ({centring}), got {int(rank)}")
    basis = xp.flip(vectors, axis=1)[:, :dimension]
    if not tall:
        kept, scales = xp.astype(seen, wide.dtype), xp.sqrt(samples * xp.where(seen, spectrum, 1.0))
        lifted = wide.T @ basis / scales[None, :dimension]
        basis = xp.linalg.qr(lifted)[0] * kept[None, :dimension]  # weak ones are as long as rounding has it
    return manifold.Manifold(signed(xp.astype(basis, activity.dtype)), xp.astype(spectrum, activity.dtype), average)


def _widened(array: Array) -> Array:
    """Return an array in float64, if its library has it."""
    xp = namespace(array)
    dtypes = xp.__array_namespace_info__().dtypes(kind="real floating")
    return xp.astype(array, dtypes.get("float64", array.dtype))
