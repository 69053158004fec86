"""Images that look alike: a perceptual hash, and a search for hashes that differ in few bits."""

import itertools
from collections.abc import Iterator

import cv2
import numpy as np

BITS = 64
_SIDE = 8
_BIT_COUNTS = np.array([bin(value).count('1') for value in range(1 << 16)], np.uint8)


def perceptual_hash(gray: np.ndarray) -> int:
    """Hash an image so that scaling, recompression and slight changes of light flip few bits.

    The signs of the 64 lowest frequencies of its cosine transform, about their median (Zauner,
    Implementation and benchmarking of perceptual image hash functions, 2010). The constant one is
    left out, so that brightness plays no role.

    Args:
        gray: Image of any size, ``(H, W)``, uint8.

    Returns:
        64 bits. An image of one colour has no meaningful hash.
    """
    small = cv2.resize(gray, (4 * _SIDE, 4 * _SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[: _SIDE + 1, : _SIDE + 1].ravel()[1 : BITS + 1]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), 'big')


def near_pairs(hashes: np.ndarray, radius: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find all pairs of different hashes that differ in few bits, without comparing all with all.

    Cut into ``radius + 1`` parts, two such hashes agree in one part at least, so only those that
    agree there are compared (Norouzi, Punjani, Fleet, Fast exact search in Hamming space with
    multi-index hashing, 2014). No pair is missed; some come more than once.

    Args:
        hashes: Hashes without repetitions, ``(N,)``, uint64.
        radius: Bits that may differ, from 0 to 15.

    Yields:
        Rows of ``hashes`` that are close, two arrays of the same length.
    """
    mixed = _spread_bits(hashes)
    cuts = np.linspace(0, BITS, radius + 2).astype(int)
    for start, end in itertools.pairwise(cuts.tolist()):
        part = (mixed >> np.uint64(start)) & np.uint64((1 << (end - start)) - 1)
        order = np.argsort(part, kind='stable')
        part, ordered = part[order], mixed[order]
        first = np.arange(len(order))
        for step in range(1, len(order)):  # ends after the largest group with the same part
            first = first[first + step < len(order)]
            first = first[part[first] == part[first + step]]
            if not len(first):
                break
            close = bit_distance(ordered[first], ordered[first + step]) <= radius
            yield order[first[close]], order[first[close] + step]


def bit_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Count the bits in which hashes differ.

    Args:
        a: ``(N,)``, uint64.
        b: ``(N,)``, uint64.

    Returns:
        ``(N,)``, 0 to 64.
    """
    words = np.ascontiguousarray(a ^ b).view(np.uint16).reshape(-1, 4)
    return _BIT_COUNTS[words].sum(-1, dtype=np.int64)


def _spread_bits(hashes: np.ndarray) -> np.ndarray:
    """Permute the bits so that each part has some of every frequency and tells images apart."""
    bits = np.unpackbits(hashes.astype('>u8').view(np.uint8).reshape(-1, 8), axis=1)
    spread = np.ascontiguousarray(bits.reshape(-1, _SIDE, _SIDE).transpose(0, 2, 1))
    return np.packbits(spread.reshape(-1, BITS), axis=1).view('>u8').astype(np.uint64).ravel()
