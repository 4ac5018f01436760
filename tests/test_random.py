"""Random numbers: published known answers, JAX's own stream, and the same numbers everywhere."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from nmnc_ref import random
from paper_checks.campaigns import randomness

KNOWN_ANSWERS = [  # Random123, kat_vectors: threefry2x32, 20 rounds: counter, key, answer
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]
SEEDS = [0, 1, 2**32 - 1, 2**32, 2**63 - 1, 0x0123456789ABCDEF]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(xp, counter, key, answer):
    words = [xp.asarray([word], dtype=random.word_dtype(xp)) for word in (*key, *counter)]
    assert tuple(int(word[0]) for word in random.threefry2x32(*words)) == answer


def test_words_of_no_axes_wrap_without_a_warning(xp_or_jax):
    xp = xp_or_jax
    key, counter = random.key(2**64 - 1, xp), random.key(2**64 - 7, xp)
    words = [word[()] if xp is np else word for word in (key[0], key[1], counter[0], counter[1])]
    got = random.threefry2x32(*words)
    want = random.threefry2x32(key[:1], key[1:], counter[:1], counter[1:])
    assert [word.shape for word in got] == [(), ()]
    assert [int(word) for word in got] == [int(word[0]) for word in want]


@pytest.mark.parametrize("seed", SEEDS)
def test_same_stream_as_jax(xp_or_jax, seed):
    key, jax_key = random.key(seed, xp_or_jax), jax.random.key(seed)
    assert np.array_equal(np.asarray(random.bits(key, (3, 5))), jax.random.bits(jax_key, (3, 5), "uint32"))
    assert np.array_equal(np.asarray(random.split(key, 4)), jax.random.key_data(jax.random.split(jax_key, 4)))
    assert np.array_equal(np.asarray(random.fold_in(key, 7)), jax.random.key_data(jax.random.fold_in(jax_key, 7)))
    x0, x1 = (np.asarray(word).astype(np.uint64) for word in random.words(key, (9,)))
    assert np.array_equal((x0 << np.uint64(32)) | x1, jax.random.bits(jax_key, (9,), "uint64"))


@pytest.mark.parametrize("draw", [random.uniform, random.rademacher])
def test_identical_on_every_library(xp_or_jax, dtype_name, draw):
    want = draw(random.key(11, np), (50, 3), getattr(np, dtype_name))
    got = draw(random.key(11, xp_or_jax), (50, 3), getattr(xp_or_jax, dtype_name))
    assert got.dtype == getattr(xp_or_jax, dtype_name)
    assert np.array_equal(np.asarray(got), want)


def test_normals_agree_to_rounding(xp_or_jax, dtype_name):
    want = random.normal(random.key(11, np), (10_000,), np.float64 if dtype_name == "float64" else np.float32)
    got = np.asarray(random.normal(random.key(11, xp_or_jax), (10_000,), getattr(xp_or_jax, dtype_name)))
    assert got.dtype == want.dtype
    # cos(2πv) has an absolute error of 2π·eps at most, times the radius of at most 8.5
    assert np.abs(got - want).max() <= 16 * np.finfo(dtype_name).eps * np.abs(want).max()


def test_uniform_is_the_documented_function_of_the_bits():
    key = random.key(3, np)
    bits = random.bits(key, (1000,)).astype(np.float64)
    assert np.array_equal(random.uniform(key, (1000,), np.float32), ((bits // 2**9) + 0.5) * 2.0**-23)
    x0, x1 = (word.astype(np.float64) for word in random.words(key, (1000,)))
    assert np.array_equal(random.uniform(key, (1000,), np.float64), (x0 * 2**20 + x1 // 2**12 + 0.5) * 2.0**-52)


@pytest.mark.parametrize("words", list(itertools.product((0, 2**32 - 1), repeat=2)))
def test_uniform_stays_inside_the_interval(words, dtype_name, monkeypatch):
    def extreme(key0, key1, counter0, counter1):
        shape = np.broadcast_shapes(key0.shape, counter1.shape)
        return tuple(np.full(shape, word, np.uint32) for word in words)

    key = random.key(3, np)
    monkeypatch.setattr(random, "threefry2x32", extreme)
    (found,) = random.uniform(key, (1,), getattr(np, dtype_name))
    assert 0 < found < 1


@pytest.mark.parametrize("dtype_name", ["float32", "float64"])
def test_distributions(dtype_name):
    dtype, seed = getattr(np, dtype_name), int(np.random.SeedSequence().entropy % 2**32)
    key = random.key(seed, np)
    alarm = 1e-9  # for any seed
    assert stats.kstest(random.normal(key, (100_000,), dtype), "norm").pvalue > alarm, seed
    assert stats.kstest(random.uniform(key, (100_000,), dtype), "uniform").pvalue > alarm, seed
    assert stats.binomtest(int((random.rademacher(key, (100_000,), dtype) > 0).sum()), 100_000).pvalue > alarm, seed
    z = random.normal(random.split(key, 2), (100_000,), dtype).astype(np.float64)
    assert abs(np.mean(z[0] * z[1])) < 7 / math.sqrt(100_000), seed


ALARM = 1e-9
"""Of one test of the battery, which runs at a seed that is new each time."""
PIECE = 2**17


def new_key():
    return random.key(int(np.random.SeedSequence().entropy % 2**64), np)


def test_battery():
    key = new_key()
    results = list(randomness.battery(key, 2, PIECE))
    assert len(results) > 100
    assert not [result for result in results if result.p < ALARM], key


def congruential(key, index):
    """x ↦ 69069·x + 1 mod 2³², whose low bits have short periods."""
    powers = np.multiply.accumulate(np.full_like(index, 69069), dtype=np.uint32)
    shifts = np.add.accumulate(np.concatenate([np.ones_like(index[:1]), powers[:-1]]), dtype=np.uint32)
    return powers * key[0] + shifts


def shifted(key, index):
    """Marsaglia's xorshift of 32 bits, which is linear in them."""
    words, x = [], int(key[0]) | 1
    for _ in index:
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        words.append(x)
    return np.array(words, dtype=np.uint32)


WRONG_STREAMS = {
    "congruential": congruential,
    "linear": shifted,
    "each word twice": lambda key, index: randomness.draws_of_a_key(key, index // 2),
    "the same in each block": lambda key, index: randomness.draws_of_a_key(key, index % randomness.LAG),
    "counters in the low bits": lambda key, index: randomness.draws_of_a_key(key, index) >> 9 << 9 | index % 2**9,
}


@pytest.mark.parametrize("stream", WRONG_STREAMS.values(), ids=WRONG_STREAMS)
def test_battery_notices_wrong_words(stream):
    assert min(p for _, p in randomness.of_words(stream, new_key(), 1, PIECE)) < ALARM


def one_uniform_for_both(keys, shape, dtype):
    u = random.uniform(keys, shape, dtype)
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * math.pi * u)


def neighbours_of_one_radius(keys, shape, dtype):
    radius = np.sqrt(-2 * np.log(random.uniform(keys, (shape[0] // 2,), dtype)))
    return np.repeat(radius, 2, axis=1) * np.cos(2 * math.pi * random.uniform(random.fold_in(keys, 1), shape, dtype))


WRONG_DRAWS = {
    "one uniform for both": one_uniform_for_both,
    "neighbours of one radius": neighbours_of_one_radius,
    "one key for all": lambda keys, shape, dtype: random.normal(np.stack([keys[0], keys[0]]), shape, dtype),
    "too wide": lambda keys, shape, dtype: 1.02 * random.normal(keys, shape, dtype),
    "blocks repeat": lambda keys, shape, dtype: np.tile(random.normal(keys, (randomness.LAG,), dtype), (1, 4)),
}


@pytest.mark.parametrize("draw", WRONG_DRAWS.values(), ids=WRONG_DRAWS)
def test_battery_notices_wrong_draws(draw):
    law = randomness.LAWS["normal"]._replace(draw=draw)
    assert min(p for _, p in randomness.of_draws(law, new_key(), np.float64, 1, PIECE)) < ALARM


def test_a_draw_does_not_depend_on_how_many_follow(xp):
    key = random.key(5, xp)
    short, long = random.normal(key, (10,), xp.float32), random.normal(key, (4, 25), xp.float32)
    assert np.array_equal(np.asarray(short), np.asarray(xp.reshape(long, (-1,)))[:10])


def test_batches_of_keys_draw_what_each_key_draws(xp):
    keys = random.split(random.key(5, xp), 6)
    together = random.uniform(xp.reshape(keys, (2, 3, 2)), (4, 5), xp.float64)
    alone = [random.uniform(keys[i, :], (4, 5), xp.float64) for i in range(6)]
    assert np.array_equal(np.asarray(together).reshape(6, 4, 5), np.stack([np.asarray(each) for each in alone]))
    folded = random.fold_in(keys[0, :], xp.asarray([0, 7], dtype=keys.dtype))
    assert np.array_equal(np.asarray(folded[1, :]), np.asarray(random.fold_in(keys[0, :], 7)))


def test_keys_of_split_are_those_of_fold_in(xp):
    key = random.key(5, xp)
    folded = random.fold_in(key, xp.arange(4, dtype=key.dtype))
    assert np.array_equal(np.asarray(random.split(key, 4)), np.asarray(folded))


def test_scalars_can_be_drawn(xp):
    value = random.normal(random.key(5, xp), (), xp.float32)
    assert value.shape == ()
    assert float(value) == float(random.normal(random.key(5, xp), (3,), xp.float32)[0])


def test_keys_can_be_traced(dtype_name):
    dtype = getattr(jnp, dtype_name)

    def draw(key):
        first, second = jnp.unstack(random.split(random.fold_in(key, 3), 2))
        return random.uniform(first, (7,), dtype), random.rademacher(second, (7,), dtype), random.bits(key, (2,))

    key = random.key(9, jnp)
    for eager, compiled in zip(draw(key), jax.jit(draw)(key), strict=True):
        assert np.array_equal(eager, compiled)


@pytest.fixture
def without_float64():
    """Turn the 64-bit types of JAX off for one test."""
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.mark.usefixtures("without_float64")
def test_float64_without_64_bit_jax_is_refused():
    with pytest.raises(TypeError, match="JAX_ENABLE_X64"):
        random.uniform(random.key(0, jnp), (3,), jnp.float64)


@pytest.mark.usefixtures("without_float64")
def test_float32_without_64_bit_jax_draws_the_same():
    want = random.normal(random.key(2**40 + 1, np), (100,), np.float32)
    got = np.asarray(jax.jit(lambda key: random.normal(key, (100,), jnp.float32))(random.key(2**40 + 1, jnp)))
    assert np.abs(got - want).max() <= 16 * np.finfo(np.float32).eps * np.abs(want).max()
