"""Draws in blocks that stay in cache are those made all at once, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from nmnc_ref import random

LAWS = {
    "bits": lambda key, shape, dtype: random.bits(key, shape),
    "uniform": random.uniform,
    "normal": random.normal,
    "rademacher": random.rademacher,
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("keys", [(), (3,), (2, 3)])
@pytest.mark.parametrize("block", [1, 4, 7, 21, 50, 10**9])
def test_blocks_change_no_bit(law, keys, block, dtype_name, monkeypatch):
    key = random.key(5, np)
    key = random.split(key, int(np.prod(keys))).reshape(*keys, 2) if keys else key
    dtype, shape = getattr(np, dtype_name), (3, 7)
    whole = LAWS[law](key, shape, dtype)
    each = [LAWS[law](one, shape, dtype) for one in key.reshape(-1, 2)]
    monkeypatch.setattr(random, "BLOCK", block)
    blocked = LAWS[law](key, shape, dtype)
    assert blocked.dtype == whole.dtype
    assert blocked.shape == (*keys, *shape)
    assert np.array_equal(blocked, np.stack(each).reshape(blocked.shape))
    assert np.array_equal(blocked, whole)
