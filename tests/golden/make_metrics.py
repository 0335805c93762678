#!/usr/bin/env python3
"""Answers of scikit-learn and SciPy for tests/test_metrics.c, as small text files.

    python3 tests/golden/make_metrics.py     (scikit-learn 1.9, SciPy 1.17 made the committed ones)

metrics_reports.txt    "case CLASSES", names one per line, counts, "report LINES", the report
metrics_curves.txt     "case COUNT", "score live" lines, "auc eer bpcer1 bpcer5", "roc POINTS",
                       "fpr tpr" lines
metrics_intervals.txt  "errors total low high": Clopper-Pearson, 95 %
"""
import pathlib
import warnings

import numpy as np
from scipy.stats import beta
from sklearn.metrics import classification_report, roc_auc_score, roc_curve

HERE = pathlib.Path(__file__).parent


def report_case(names, counts):
    counts = np.asarray(counts)
    truth, predicted = [], []
    for (t, p), n in np.ndenumerate(counts):
        truth += [t] * int(n)
        predicted += [p] * int(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zero division
        report = classification_report(
            truth, predicted, labels=range(len(names)), target_names=names)
    lines = [f"case {len(names)}", *names]
    lines += [" ".join(str(n) for n in row) for row in counts]
    lines += [f"report {report.count(chr(10))}"]
    return "\n".join(lines) + "\n" + report


def reports():
    rng = np.random.default_rng(1)
    yield report_case(["fake", "real"], [[38, 0], [2, 38]])
    yield report_case(["fake", "real"], [[0, 7], [0, 9]])
    yield report_case(["fake", "real"], [[1, 0], [0, 0]])
    yield report_case(["a", "b", "c"], [[5, 1, 0], [0, 0, 0], [3, 0, 125000]])
    yield report_case(["a class with a very long name", "visage réel", "本物"],
                      [[3, 1, 1], [0, 8, 2], [1, 1, 6]])
    yield report_case(["thirteen char", "twelve chars"], [[10, 5], [3, 14]])
    # Sums of 8 and more terms, and of more than 128: numpy's order of additions.
    for n in (7, 8, 11, 19):
        yield report_case([f"c{i:02d}" for i in range(n)], rng.integers(0, 9, (n, n)))
    yield report_case([f"n{i}" for i in range(131)], (rng.random((131, 131)) < 0.03).astype(int))


def equal_error(fpr, tpr):
    """Crossing of the polygon (fpr, tpr) with tpr = 1 - fpr."""
    g = fpr + tpr - 1
    k = int(np.argmax(g >= 0))
    t = -g[k - 1] / (g[k] - g[k - 1])
    rate = fpr[k - 1] + t * (fpr[k] - fpr[k - 1])
    assert abs(np.interp(t, [0, 1], tpr[k - 1:k + 1]) - (1 - rate)) < 1e-12
    return rate


def curve_case(score, live):
    fpr, tpr, _ = roc_curve(live, score, drop_intermediate=False)
    auc = roc_auc_score(live, score)
    eer = equal_error(fpr, tpr)
    at = [1 - tpr[fpr <= limit].max() for limit in (0.01, 0.05)]
    lines = [f"case {len(score)}"]
    lines += [f"{s!r} {int(l)}" for s, l in zip(map(float, score), live)]
    lines += [f"{auc:.17g} {eer:.17g} {at[0]:.17g} {at[1]:.17g}", f"roc {len(fpr)}"]
    lines += [f"{f:.17g} {t:.17g}" for f, t in zip(fpr, tpr)]
    return "\n".join(lines) + "\n"


def curves():
    rng = np.random.default_rng(2)
    yield curve_case([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0])      # perfect
    yield curve_case([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1])      # all wrong
    yield curve_case([0.5] * 6, [1, 0, 1, 0, 0, 1])           # one tie
    yield curve_case([0.5, 0.4], [1, 0])
    yield curve_case([0.3, 0.7, 0.7, 0.2, 0.9], [0, 1, 0, 0, 1])
    for n, spread, digits in ((40, 1.0, 2), (120, 1.5, 2), (150, 0.2, 1), (230, 2.5, 4)):
        live = rng.random(n) < 0.5
        score = 1 / (1 + np.exp(-(rng.normal(size=n) + spread * (live - 0.5))))
        yield curve_case(np.round(score, digits), live)


def intervals():
    for n in (1, 2, 3, 10, 29, 75, 150, 161, 1000, 54321, 1000000):
        for k in sorted({0, 1, 2, n // 50, n // 10, n // 3, n // 2, n - 1, n} & set(range(n + 1))):
            low = beta.ppf(0.025, k, n - k + 1) if k > 0 else 0.0
            high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
            yield f"{k} {n} {low:.17g} {high:.17g}\n"


def write(name, parts):
    (HERE / name).write_text("".join(parts), encoding="utf-8")


write("metrics_reports.txt", reports())
write("metrics_curves.txt", curves())
write("metrics_intervals.txt", intervals())
