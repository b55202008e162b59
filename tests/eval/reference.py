"""Makes reference.json: what scipy and scikit-learn say of the metrics in src/eval.

    python -m venv .venv && .venv/bin/pip install -r tests/eval/requirements.txt
    .venv/bin/python tests/eval/reference.py

The same file comes out on every machine. tests/eval/main.rs holds the crate against it.
"""

import json
from pathlib import Path

import numpy as np
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, roc_curve

INTERVALS = [
    (0, 1), (1, 1), (0, 10), (1, 10), (5, 10), (10, 10), (1, 328), (21, 328), (29, 2915), (2, 2915), (0, 2915),
    (999, 1000), (1, 100_000), (3, 1_000_000), (500_000, 1_000_000), (999_999, 1_000_000), (1, 10_000_000),
]


def scores(rng, n, mean, deviation):
    """Cosines with four decimals, so that some are equal."""
    return np.round(np.clip(rng.normal(mean, deviation, n), -1, 1), 4)


def curve(mated, nonmated):
    labels = np.r_[np.ones(len(mated)), np.zeros(len(nonmated))]
    return roc_curve(labels, np.r_[mated, nonmated], drop_intermediate=False)


def false_negatives_at(mated, nonmated, target):
    """The least rate of false negatives on the curve where that of false positives is at most the target."""
    fpr, tpr, _ = curve(mated, nonmated)
    return float(1 - tpr[fpr <= target].max())


def equal_error_rate(mated, nonmated):
    fpr, tpr, _ = curve(mated, nonmated)
    return float(brentq(lambda x: 1 - x - interp1d(fpr, tpr)(x), 0, 1, xtol=1e-14))


def fold_accuracy(folds, mated, similarity):
    """LFW's protocol: each fold by the threshold that is best on the others."""
    accuracies = []
    for fold in np.unique(folds):
        others = folds != fold
        values = np.unique(similarity[others])
        thresholds = np.r_[-1.0, (values[:-1] + values[1:]) / 2]
        right = [accuracy_score(mated[others], similarity[others] >= t) for t in thresholds]
        best = thresholds[int(np.argmax(right))]
        accuracies.append(accuracy_score(mated[~others], similarity[~others] >= best))
    return {"mean": float(np.mean(accuracies)), "std": float(np.std(accuracies, ddof=1))}


def verification(rng, n_mated, n_nonmated, mean):
    mated, nonmated = scores(rng, n_mated, mean, 0.15), scores(rng, n_nonmated, 0.05, 0.1)
    targets = [0.1, 0.05, 0.01, 0.001]
    return {
        "mated": mated.tolist(),
        "nonmated": nonmated.tolist(),
        "eer": equal_error_rate(mated, nonmated),
        "fnmr_at_fmr": [[t, false_negatives_at(mated, nonmated, t)] for t in targets],
    }


def folds(rng):
    n, of = 400, 10
    mated = np.tile([True, False], n // 2)
    similarity = np.where(mated, scores(rng, n, 0.35, 0.15), scores(rng, n, 0.05, 0.1))
    numbers = np.repeat(np.arange(of), n // of)
    return {
        "fold": [str(f) for f in numbers],
        "mated": mated.tolist(),
        "similarity": similarity.tolist(),
        **fold_accuracy(numbers, mated, similarity),
    }


def identification(rng):
    own, first = scores(rng, 300, 0.5, 0.15), rng.random(300) < 0.95
    failed, best = 6, scores(rng, 1000, 0.3, 0.08)
    # A probe that was not first, or failed to acquire, reaches no threshold.
    hits = np.r_[np.where(first, own, -2.0), np.full(failed, -2.0)]
    return {
        "own": own.tolist(),
        "first": first.tolist(),
        "failed": failed,
        "nonmated_best": best.tolist(),
        "rank1": float(first.sum() / (len(own) + failed)),
        "fnir_at_fpir": [[t, false_negatives_at(hits, best, t)] for t in [0.01, 0.003, 0.001]],
    }


def main():
    rng = np.random.default_rng(4)
    interval = lambda k, n: binomtest(k, n).proportion_ci(0.95, method="exact")
    reference = {
        "made_by": "tests/eval/reference.py",
        "intervals": [[k, n, interval(k, n).low, interval(k, n).high] for k, n in INTERVALS],
        "verification": [verification(rng, 60, 200, 0.4), verification(rng, 500, 500, 0.5), verification(rng, 7, 3, 0.1)],
        "folds": folds(rng),
        "identification": identification(rng),
    }
    text = json.dumps(reference, indent=None, separators=(",", ":"))
    Path(__file__).with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main()
