"""What samples say together: medians, spreads, percentiles."""
import math
import statistics


def median(samples):
    """0 without samples."""
    return statistics.median(samples) if samples else 0


def median_within(samples):
    """(low, high): samples between which the median of all that might be measured lies, 95 times of 100; by their order
    alone, whatever their distribution. (0, 0) without samples."""
    ascending = sorted(samples)
    if not ascending:
        return 0, 0
    rank = max(math.floor(len(ascending) / 2 - 0.98 * math.sqrt(len(ascending))), 0)
    return ascending[rank], ascending[-1 - rank]


def spread(key, samples):
    """{key, key_min, key_max}: the median, the least and the most; zeros without samples."""
    return {key: median(samples), f"{key}_min": min(samples, default=0), f"{key}_max": max(samples, default=0)}


def percentile(samples, percent):
    """Nearest rank: the smallest sample that at least so many percent of all are not above; 0 without samples."""
    ascending = sorted(samples)
    rank = math.ceil(percent / 100 * len(ascending))
    return ascending[min(max(rank, 1), len(ascending)) - 1] if ascending else 0
