"""A battery of statistical tests of the random numbers: `python -m paper_checks.campaigns.randomness`.

Each test looks at the first words of each stream below, and at as many draws of each law, in pieces of 2²⁰. A p-value
is two-sided, so that what is too even is noticed too. The threshold leaves right random numbers a chance of 0.1 % to be
rejected by any of the tests. Other batteries can read the streams:

    python -m paper_checks.campaigns.randomness --write "draws of a key" | dieharder -a -g 200
"""

from __future__ import annotations

import argparse
import itertools
import math
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import special, stats

from nmnc_ref import random

PIECE = 2**20
"""Words that are looked at at a time."""
LAG = 2**15
"""Between words that are compared as distant: NumPy draws as many at a time (`random.BLOCK`)."""
BINS = 1000
FALSE_ALARM = 1e-3
"""Of all tests together."""
Stream = Callable[[np.ndarray, np.ndarray], Any]
"""A key and indices → words."""


class Result(NamedTuple):
    """A test of a stream or a law, and its two-sided p-value."""

    subject: str
    test: str
    p: float


def first_draws(keys: np.ndarray) -> Any:
    """Return the first word that each key draws."""
    return random.bits(keys, (1,))[..., 0]


def draws_of_a_key(key: np.ndarray, index: np.ndarray) -> Any:
    """Return the words that `random.bits` draws, by index."""
    x0, x1 = random.threefry2x32(key[:1], key[1:], np.zeros_like(index), index)
    return x0 ^ x1


def both_words(key: np.ndarray, index: np.ndarray) -> Any:
    """Return the words of `random.words` in turn, of which uniform draws of float64 are made."""
    x0, x1 = random.threefry2x32(key[:1], key[1:], np.zeros_like(index), index // 2)
    return np.where(index % 2 == 0, x0, x1)


STREAMS: dict[str, Stream] = {
    "draws of a key": draws_of_a_key,
    "both words": both_words,
    "keys split": lambda key, index: first_draws(random.fold_in(key, index)),  # which are those of `random.split`
    "layers of steps": lambda key, index: first_draws(random.fold_in(random.fold_in(key, index // 4), index % 4)),
    "seeds in turn": lambda key, index: first_draws(np.stack([np.full_like(index, key[0]), index], axis=-1)),
}


# words


def counts(words: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Return what the tests count of the first `size` of `words`; `LAG` more are looked at as their successors."""
    bits = np.unpackbits(words.astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
    signs = 1 - 2 * bits.astype(np.float32)
    own, words = signs[:size], words[:size]
    return {
        "bits": own.sum(axis=0, dtype=np.float64),
        "pairs of bits": (own.T @ own)[np.triu_indices(32, 1)].astype(np.float64),
        "bits of the next word": (own.T @ signs[1 : size + 1]).astype(np.float64),
        f"bits of the word {LAG} later": (own.T @ signs[LAG : size + LAG]).astype(np.float64),
        "halves": np.bincount(words.view(np.uint16), minlength=2**16),
        "first bytes of two words": np.bincount((words[:-1:2] >> 24 << 8) | (words[1::2] >> 24), minlength=2**16),
        "collisions": np.array([size - np.unique(words).size]),
        "ranks": np.bincount(32 - ranks(words.reshape(-1, 32)[::4]), minlength=33),
    }


def ranks(matrices: np.ndarray) -> Any:
    """Return the ranks of 32 × 32 matrices of bits, each of 32 words."""
    rows, found = matrices.copy(), np.zeros(len(matrices), dtype=np.int64)
    for bit in range(32):
        has = (rows >> bit) & 1
        pivot = np.take_along_axis(rows, np.argmax(has, axis=1)[:, None], axis=1) * has.any(axis=1, keepdims=True)
        rows ^= pivot * has  # the pivot itself becomes 0, and is chosen no more
        found += has.any(axis=1)
    return found


def of_rank(deficiency: int) -> float:
    """Return the probability that a random matrix of 32 × 32 bits lacks so many ranks."""
    rank = 32 - deficiency
    ways = math.prod((1 - 2.0 ** (i - 32)) ** 2 / (1 - 2.0 ** (i - rank)) for i in range(rank))
    return 2.0 ** -(deficiency**2) * ways


def p_values(totals: dict[str, np.ndarray], pieces: int, piece: int) -> Iterator[tuple[str, float]]:
    """Yield the p-value of each count of words in some pieces."""
    for name, total in totals.items():
        if "bits" in name:  # sums of signs, uncorrelated
            yield name, chi_squared(float(np.sum(total**2)) / (pieces * piece), total.size)
        elif name == "collisions":
            law = stats.poisson(pieces * (piece + 2.0**32 * math.expm1(piece * math.log1p(-(2.0**-32)))))
            yield name, two_sided(law.cdf(total[0]), law.sf(total[0] - 1))
        elif name == "ranks":
            few = np.array([total[0], total[1], total[2:].sum()])
            share = np.array([of_rank(0), of_rank(1), 1 - of_rank(0) - of_rank(1)])
            yield name, goodness(few, share * few.sum())
        else:
            yield name, goodness(total, np.full(total.shape, total.sum() / total.size))


def goodness(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the p-value of counts in cells."""
    return chi_squared(float(np.sum((found - expected) ** 2 / expected)), found.size - 1)


def chi_squared(value: float, degrees: int) -> float:
    """Return the p-value of a statistic χ²."""
    return two_sided(special.chdtr(degrees, value), special.chdtrc(degrees, value))


def two_sided(below: float, above: float) -> float:
    """Return the p-value of what is as low, or as high, with these probabilities."""
    return min(1.0, 2 * float(min(below, above)))


def of_words(stream: Stream, key: np.ndarray, pieces: int, piece: int) -> Iterator[tuple[str, float]]:
    """Yield the p-values of the first words of a stream."""
    totals: dict[str, np.ndarray] = {}
    for first in range(0, pieces * piece, piece):
        index = np.arange(first, first + piece + LAG, dtype=np.uint32)
        for name, count in counts(stream(key, index), piece).items():
            totals[name] = totals.get(name, 0) + count
    yield from p_values(totals, pieces, piece)


# laws


class Law(NamedTuple):
    """A law of draws: how it is drawn, its moments of order 0 to 8, and its distribution function."""

    draw: Callable[..., np.ndarray]
    moments: tuple[float, ...]
    distribution: Callable[[np.ndarray], np.ndarray]


LAWS = {
    "normal": Law(random.normal, (1, 0, 1, 0, 3, 0, 15, 0, 105), special.ndtr),
    "uniform": Law(
        lambda *given: random.uniform(*given) - 0.5,
        tuple(0.5**k / (k + 1) * (k % 2 == 0) for k in range(9)),
        lambda x: x + 0.5,
    ),
}


def of_draws(law: Law, key: np.ndarray, dtype: type, pieces: int, piece: int) -> Iterator[tuple[str, float]]:
    """Yield the p-values of moments, of products of moments of neighbours and of two keys, and of the distribution."""
    sums = np.zeros((3, 5, 5))
    cells = np.zeros(BINS, dtype=np.int64)
    for number in range(pieces):
        x, y = law.draw(random.split(random.fold_in(key, number), 2), (piece,), dtype)
        powers, others = ([z.astype(np.float64) ** k for k in range(5)] for z in (x, y))
        for i, j in itertools.product(range(5), repeat=2):
            if i + j <= 4:
                sums[0, i, j] += powers[i] @ others[j]
                sums[1, i, j] += powers[i][:-1] @ powers[j][1:]
                sums[2, i, j] += powers[i][:-LAG] @ powers[j][LAG:]
        cells += np.bincount(np.minimum((law.distribution(powers[1]) * BINS).astype(int), BINS - 1), minlength=BINS)
    m = law.moments
    for which, name in enumerate(("", "neighbours, ", f"draws {LAG} apart, ")):
        for i, j in itertools.product(range(5), repeat=2):
            if not 0 < i + j <= 4 or (which and 0 in (i, j)):
                continue
            variance = m[2 * i] * m[2 * j] - (m[i] * m[j]) ** 2
            mean, error = sums[which, i, j] / sums[which, 0, 0], math.sqrt(variance / sums[which, 0, 0])
            moment = f"{name}E[x{i or ''}]" if j == 0 else f"{name or 'two keys, '}E[x{i} y{j}]"
            yield moment, float(2 * stats.norm.sf(abs(mean - m[i] * m[j]) / error))
    yield f"{BINS} cells", goodness(cells, np.full(BINS, cells.sum() / BINS))


def battery(key: np.ndarray, pieces: int, piece: int = PIECE) -> Iterator[Result]:
    """Yield the results of all streams and laws, each from keys of its own; a piece is a multiple of 128 words."""
    for place, (name, stream) in enumerate(STREAMS.items()):
        for test, p in of_words(stream, random.fold_in(key, place), pieces, piece):
            yield Result(name, test, p)
    laws = itertools.product(LAWS.items(), (np.float32, np.float64))
    for place, ((name, law), dtype) in enumerate(laws, len(STREAMS)):
        for test, p in of_draws(law, random.fold_in(key, place), dtype, pieces, piece):
            yield Result(f"{name}, {np.dtype(dtype).name}", test, p)


def write(stream: Stream, key: np.ndarray) -> None:
    """Write the words of a stream to stdout, as 4 bytes each, until nobody reads them."""
    try:
        for first in range(0, 2**32, PIECE):
            sys.stdout.buffer.write(stream(key, np.arange(first, first + PIECE, dtype=np.uint32)).tobytes())
    except BrokenPipeError:
        sys.stderr.close()  # or Python complains of what it cannot flush


def main(arguments: list[str] | None = None) -> int:
    """Run the battery and print the smallest p-values, or write a stream."""
    parser = argparse.ArgumentParser(
        prog="python -m paper_checks.campaigns.randomness", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("--pieces", type=int, default=100, help="of 2^20 words or draws (default: 100)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(64), help="default: a new one each time")
    parser.add_argument("--write", choices=STREAMS, metavar="STREAM", help=f"to stdout: {', '.join(STREAMS)}")
    options = parser.parse_args(arguments)
    key = random.key(options.seed, np)
    if options.write:
        write(STREAMS[options.write], key)
        return 0
    print(f"seed {options.seed}, {options.pieces * PIECE:,} words or draws in each test")
    results = []
    for result in battery(key, options.pieces):
        results.append(result)
        print(f"p = {result.p:<9.3g} {result.subject}: {result.test}", flush=True)
    p = np.array([result.p for result in results])
    threshold = FALSE_ALARM / len(p)
    print(f"{len(p)} tests, {(p < 0.01).sum()} with p < 0.01 where {0.01 * len(p):.1f} are expected")
    print(f"smallest p = {p.min():.2g}, threshold {threshold:.2g}")
    return int(p.min() < threshold)


if __name__ == "__main__":
    sys.exit(main())
