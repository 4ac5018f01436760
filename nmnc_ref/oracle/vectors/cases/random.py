"""Random numbers: words exactly, normal numbers to rounding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nmnc_ref.arrays import Array
from nmnc_ref.oracle.vectors.cases.draft import Draft


def _key(high: int, low: int) -> Array:
    return np.array([high, low], dtype=np.uint32)


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    keys = {
        "zero": (0, 0, "A key of zeros: wrong rotations or key schedule show without any input to blame."),
        "ones": (2**32 - 1, 2**32 - 1, "All bits set: sums that do not wrap at 32 bits, shifts that keep the sign."),
        "pi": (0x13198A2E, 0x03707344, "Two unequal words: a key whose words are swapped."),
    }
    for name, (high, low, why) in keys.items():
        draft = Draft(f"random_words_{name}", why, key=_key(high, low))
        yield draft.stage("bits", draws=7).stage("split_keys", number=3).stage("folded_key", data=2**31 + 5)
    for dtype in ("float32", "float64"):
        why = "The first bits of a word, plus one half: uniforms that reach 0 or 1, or that use the last bits."
        draft = Draft(f"random_draws_{dtype}", why, precision=dtype, key=_key(0x13198A2E, 0x03707344))
        for stage in ("uniform", "signs", "normal"):
            draft.stage(stage, draws=11, dtype=dtype)
        yield draft
        why = "One draw is the first of many: a stream that depends on how many numbers were asked for."
        draft = Draft(f"random_one_draw_{dtype}", why, precision=dtype, key=_key(5, 3))
        yield draft.stage("uniform", draws=1, dtype=dtype).stage("normal", draws=1, dtype=dtype)
