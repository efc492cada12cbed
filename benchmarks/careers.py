"""Careers: every figure of docs/ideas/careers.md in one table; five to ten CPU minutes.

    python -m benchmarks.careers [--people 1000] [--only related,flows,agency,severity,people,paths,speed]

Reads the shared folder's careers data (set TOLERATE_SHARED). Each figure is printed beside the one to beat.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tolerate.careers.data import skills
from tolerate.careers.data.onet import OnetData, Release, read_release
from tolerate.careers.model import estimate, flows, path, relate, simulate, tasks
from tolerate.careers.model.release import estimate_occupations, read_table, with_pay

Row = tuple[str, str, str]
SHARED = (
    Path(os.environ.get("TOLERATE_SHARED", Path(__file__).resolve().parents[2] / "shared" / "data"))
    / "careers"
)


def recall(
    candidates: relate.RelatedCandidates, score: np.ndarray, listed: dict[int, list[int]], origin: int
) -> float:
    top = candidates.indices[origin][np.argsort(-score[origin], kind="stable")[:10]]
    return len(set(top.tolist()) & set(listed[origin])) / len(listed[origin])


def related(occupations: OnetData) -> Iterator[Row]:
    """Recall@10 of the ten primary related occupations, 5-fold by origin."""
    lists = relate.related_lists(occupations)
    origins = np.array(sorted(lists))
    fold = np.random.default_rng(0).permutation(len(origins)) % 5
    for name, titles, linked, beat in (
        ("with titles", True, False, "0.594; aim above 0.63"),
        ("without titles", False, False, "0.534; aim above 0.56"),
        ("with titles and the other origins' lists", True, True, "-"),
    ):
        plain = relate.select_candidates(
            relate.similarities(occupations, titles), relate.usable_mask(occupations)
        )
        recalls = np.zeros(len(origins))
        for k in range(5):
            train = {i: lists[i] for i in origins[fold != k]}
            candidates = (
                relate.with_list_features(plain, train, plain.mean)
                if linked and plain.mean is not None
                else plain
            )
            score = relate.learn_scorer(candidates, train)(candidates)
            for index in np.flatnonzero(fold == k):
                recalls[index] = recall(candidates, score, lists, int(origins[index]))
        half = 1.96 * recalls.std(ddof=1) / len(recalls) ** 0.5
        yield (
            f"related occupations, recall@10 {name}",
            f"{recalls.mean():.3f} ({recalls.mean() - half:.3f} to {recalls.mean() + half:.3f})",
            beat,
        )


def flow_figures(occupations: OnetData) -> Iterator[Row]:
    """Flows between 22 groups, fitted to 2019-21, tested on 2022: mean rank correlation within an origin."""
    rows = read_table(SHARED / "cps_flows_2019_2022.csv.gz")
    past, outside = flows.count_moves(rows, ("2019", "2020", "2021"))
    then, _ = flows.count_moves(rows, ("2022",))
    notes: list[str] = []
    table = relate.similarities(occupations)
    figures = with_pay(
        estimate_occupations(occupations, table, notes), read_table(SHARED / "bls_pay_outlook.csv"), notes
    )
    x, y = flows.features(occupations, table, figures, past, outside), flows.targets(past)
    off = ~np.eye(flows.GROUP_COUNT, dtype=bool)
    size = np.tile(np.log(np.diag(past)), (flows.GROUP_COUNT, 1))[off]
    yield "22-group flows: size only", f"{flows.rank_correlation(size, then):.3f}", "0.704"
    yield (
        "22-group flows: fitted 2019-21, judged on 2022",
        f"{flows.rank_correlation(flows.fit_predict(x, y, x), then):.3f}",
        "0.877; aim above 0.89",
    )
    without_origin = flows.rank_correlation(flows.cross_predict(x, y, "origin"), then)
    yield "  the origin left out of the fit", f"{without_origin:.3f}", "-"
    yield (
        "  the destination left out of the fit",
        f"{flows.rank_correlation(flows.cross_predict(x, y, 'destination'), then):.3f}",
        "-",
    )
    yield "  past flows themselves", f"{flows.rank_correlation(past[off], then):.3f}", "0.946 (another split)"


def auc(score: np.ndarray, happened: np.ndarray) -> float:
    from scipy.stats import rankdata

    ranks, n = rankdata(score), happened.sum()
    return float((ranks[happened].sum() - n * (n + 1) / 2) / (n * (~happened).sum()))


def agency(occupations: OnetData) -> Iterator[Row]:
    """Three classes of the human agency scale, grouped by occupation; five splits into ten folds."""
    from scipy.spatial.distance import cdist

    folder = SHARED / "exposure"
    experts = read_table(folder / "workbank_expert_ratings.csv")
    published = tasks.PublishedTables(
        experts,
        read_table(folder / "gpts_are_gpts_tasks.tsv.gz"),
        read_table(folder / "working_with_ai_iwa_metrics.csv"),
    )
    means = tasks.mean_ratings(experts)
    by_title = dict(zip(occupations.titles, occupations.codes, strict=True))
    rows = [
        (n, record.text, by_title[record.occupation])
        for n, record in means.items()
        if record.occupation in by_title
    ]
    truth = np.array([means[n].scores["agency"] for n, _, _ in rows])
    groups = np.array([means[n].occupation for n, _, _ in rows])
    kernel = tasks.agency_kernel(occupations, published, rows, np.arange(len(rows)))
    answers = relate.standardize(
        np.array([[means[n].scores[a] for a in tasks.ANSWER_COLUMNS] for n, _, _ in rows])
    )
    with_answers = (
        kernel + 2 * np.exp(-0.3 * cdist(answers, answers, "sqeuclidean") / 4) + answers @ answers.T / 4
    )
    row_of = {n: k for k, (n, _, _) in enumerate(rows)}
    single = [
        (row_of[r["Task ID"]], float(r["Human Agency Scale Rating"]))
        for r in experts
        if r["Task ID"] in row_of
    ]
    rated_rows, rating = (
        np.array([k for k, _ in single]),
        tasks.agency_classes(np.array([v for _, v in single])),
    )
    mates = [
        (a, b) for a in range(len(rated_rows)) for b in np.flatnonzero(rated_rows == rated_rows[a]) if a != b
    ]
    pair = tasks.kappa(rating[[a for a, _ in mates]], rating[[b for _, b in mates]])
    yield "human agency: one expert against another, kappa", f"{pair:.3f}", "0.45"
    for name, k, noise, beat in (
        ("public figures and text's length", kernel, 2.0, "0.27; aim above 0.33"),
        ("and four answers (the same experts')", with_answers, 3.0, "aim above 0.42"),
    ):
        kappas, alone, keeps = [], [], []
        for seed in range(5):
            estimates, cls = _classed(k, truth, groups, noise, seed)
            kappas.append(tasks.kappa(cls, tasks.agency_classes(truth)))
            alone.append(tasks.kappa(cls[rated_rows], rating))
            keeps.append(auc(estimates, truth >= tasks.KEEP_RATING))
        yield f"human agency, {name}: kappa to the experts' mean", f"{np.mean(kappas):.3f}", beat
        yield "  kappa to single experts", f"{np.mean(alone):.3f}", "-"
        yield '  "keep human", AUC', f"{np.mean(keeps):.3f}", "0.64; aim above 0.70"


def _classed(
    kernel: np.ndarray, truth: np.ndarray, groups: np.ndarray, noise: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold scores, and classes by thresholds from the training rows alone."""
    kinds, group = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(kinds))[group] % 10
    estimates, cls = np.zeros(len(truth)), np.zeros(len(truth), int)
    for k in range(10):
        inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        within = kernel[np.ix_(inside, inside)]
        estimates[outside] = tasks.kernel_ridge(within, truth[inside], kernel[np.ix_(outside, inside)], noise)
        scores = np.zeros(len(inside))
        for j in range(5):
            a, b = np.flatnonzero(fold[inside] % 5 != j), np.flatnonzero(fold[inside] % 5 == j)
            scores[b] = tasks.kernel_ridge(
                within[np.ix_(a, a)], truth[inside][a], within[np.ix_(b, a)], noise
            )
        cls[outside] = tasks.classify_by_shares(
            scores, tasks.agency_classes(truth[inside]), estimates[outside]
        )
    return estimates, cls


def severity(occupations: OnetData) -> Iterator[Row]:
    """Consequence of error predicted in ten folds by six-digit code, with weights fitted in every fold."""
    values = occupations.tables["context"].column("severity")
    groups = np.array([code[:7] for code in occupations.codes])
    kernel = estimate.build_kernels(occupations, relate.similarities(occupations), ("exactness",))
    guess, spread = estimate.cross_predict(kernel, values, groups)
    errors = np.abs(guess - values[np.isfinite(values)])
    ratio, rng, covered = errors / spread, np.random.default_rng(0), []
    for _ in range(200):  # the stretch is found on one half and judged on the other
        order = rng.permutation(len(ratio))
        calibration, other = order[: len(order) // 2], order[len(order) // 2 :]
        covered.append((ratio[other] <= estimate.conformal_margin(ratio[calibration], 0.9)).mean())
    yield (
        "missing consequence of error: mean error",
        f"{errors.mean():.3f}",
        "0.30 to 0.38; aim at most 0.33",
    )
    yield "  90% intervals cover", f"{np.mean(covered):.1%}", "aim 88% to 92%"


def people(count: int) -> Iterator[Row]:
    result = simulate.simulate(count)
    shares = ", ".join(f"{name} {n / result.tasks:.0%}" for name, n in result.counts.items())
    yield (
        f"{count:,} simulated people: released tasks that exceed",
        f"{result.exceeding} of {result.counts['released']} ({result.wrong_share:.1%})",
        "aim at most 5%",
    )
    yield "  choices", shares, f"truly releasable: {result.releasable / result.tasks:.0%}"
    naive = simulate.simulate(count, chooser=simulate.choose_naively)
    yield (
        "  the same from point estimates (broken twin)",
        f"{naive.exceeding} of {naive.counts['released']} ({naive.wrong_share:.1%})",
        "-",
    )


def paths() -> Iterator[Row]:
    """Hours compared with brute force, and the order with an exact search, on random subgraphs."""
    ratios, orders = path.compare_with_exact(skills.graph(), trials=60)
    yield (
        "learning paths: hours to the exact optimum, worst of 60",
        f"{max(ratios):.3f}",
        "aim at most 1.05",
    )
    yield (
        "  delay of the order to the exact optimum, mean / worst",
        f"{np.mean(orders):.3f} / {max(orders):.3f}",
        "-",
    )


def speed() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        atlas = Path(folder) / "atlas"
        sources = [
            "--from",
            SHARED / "db_29_3_text.zip",
            "--exposure",
            SHARED / "exposure",
            "--pay",
            SHARED / "bls_pay_outlook.csv",
        ]
        yield (
            "import of a full release, CPU s",
            f"{_seconds('data', *sources, '--atlas', atlas):.1f}",
            "aim 20",
        )
        me, page = Path(folder) / "me.toml", Path(folder) / "career.html"
        _seconds("plan", "translator", "--write", me, "--atlas", atlas)
        yield (
            "a plan from me.toml, CPU s",
            f"{_seconds('plan', '--me', me, '--out', page, '--atlas', atlas):.2f}",
            "aim 2",
        )
        yield "  its report, kB", f"{page.stat().st_size / 1000:.0f}", "aim at most 300"


def _seconds(*words: object) -> float:
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "tolerate", "career", *map(str, words)], check=True, capture_output=True
    )
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--people", type=int, default=1000)
    options.add_argument("--only", default="")
    arguments = options.parse_args()
    if not SHARED.is_dir():
        print(f"no folder {SHARED}; set TOLERATE_SHARED")
        return
    occupations = read_release(Release(SHARED / "db_29_3_text.zip"))
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "related": lambda: related(occupations),
        "flows": lambda: flow_figures(occupations),
        "agency": lambda: agency(occupations),
        "severity": lambda: severity(occupations),
        "people": lambda: people(arguments.people),
        "paths": paths,
        "speed": speed,
    }
    print(f"{'figure':62} {'ours':>28}   to beat")
    for name in arguments.only.split(",") if arguments.only else parts:
        began = time.process_time()
        for figure, value, beat in parts[name]():
            print(f"{figure:62} {value:>28}   {beat}", flush=True)
        print(f"{'':62} {'':>28}   ({name}: {time.process_time() - began:.0f} CPU s)", flush=True)


if __name__ == "__main__":
    main()
