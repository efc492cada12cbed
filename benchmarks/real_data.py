"""Real outputs of AI systems with verdicts: broken promises and share released when complete clusters are drawn.

    python -m benchmarks.real_data [--runs 200] [--peer-runs 60] [--sets judge_llmbar,news_frank]

Each set is the population. A sample of complete clusters (questions, documents, calls) is drawn from it with
replacement, at most 1,000 of them; a promise is broken if the risk of what the threshold releases from the whole
set is above the tolerance. Four tolerances a set: 0.3, 0.6, 0.97 and 1.15 times the risk of the set, so that
strict, ordinary, nearly impossible and easy promises occur. Confidence 95%.

MAPIE 1.6 is installed by the run (`_peers.py`): its default (Bonferroni-Holm over 100 thresholds), and its fixed
sequence over its default grid and over an expert's grid from the top 20%. Its thresholds are
probabilities, so it gets the ranks of the scores. LTT (Hoeffding-Bentkus with Bonferroni) and SGR are
reimplemented from their papers. All of them, and our own test of single rows, count rows as independent, which
the first figure measures. One row a cluster, drawn regardless of the clusters' sizes, is valid only if all sizes
are equal.

`+-` is the standard error of the simulation; `p` the exact one-sided probability of so many broken
promises if the method kept 95%.
"""

import argparse
import csv
import gzip
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binom

from benchmarks._peers import use
from tolerate.stats.bounds import binomial_upper, hoeffding_bentkus_p
from tolerate.stats.certify.samples import Sample
from tolerate.stats.certify.threshold import find

Array = np.ndarray
DELTA = 0.05
MOST_CLUSTERS = 1000
FRACTIONS = (0.3, 0.6, 0.97, 1.15)
SCORES = {  # file: the score to rank by; a set with several could be ranked by others
    "chat_begin": "score_overlap",
    "chat_halueval": "score_short",
    "code_humaneval": "score_style",
    "exam_mmlu": "score_qlen",
    "finance_speech": "score_meanconf",
    "image_agiqa3k": "score_quality",
    "judge_llmbar": "score_agree",
    "maths_gsm8k": "score_agree",
    "medical_thoughtsource": "score_agree",
    "news_frank": "score_BertP_Art",
    "news_xsum": "score_entailment",
    "tagging_coco": "score",
    "translation_mlqe": "score_logprob",
    "translation_mqm_ende": "",
    "video_fetv": "",
}


@dataclass(frozen=True)
class Labelled:
    """One set as a population: rows sorted by cluster."""

    name: str
    losses: Array
    scores: Array | None  # ranks in (0, 1), the best near 1; missing at 0
    clusters: Array
    starts: Array  # of each cluster's rows, and the end

    @property
    def units(self) -> int:
        return len(self.starts) - 1

    def resample(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Rows of complete clusters drawn with replacement, and the index of the draw of each."""
        drawn = rng.integers(0, self.units, min(self.units, MOST_CLUSTERS))
        sizes = np.diff(self.starts)[drawn]
        fresh = np.repeat(np.arange(len(drawn)), sizes)
        ends = np.cumsum(sizes)
        rows = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes) + np.repeat(self.starts[drawn], sizes)
        return rows, fresh

    def truth(self, edge: float) -> tuple[float, float]:
        """Share of the set above an edge, and its risk."""
        if edge == -np.inf or self.scores is None:
            mask = np.full(len(self.losses), edge < np.inf)
        else:
            mask = self.scores > edge
        return float(mask.mean()), float(self.losses[mask].mean()) if mask.any() else 0.0


def folder() -> Path:
    """The folder of the labelled sets."""
    root = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("TOLERATE_SHARED", root)) / "labelled"


def load(name: str) -> Labelled:
    """A set by its name."""
    if name == "tagging_coco":
        return _tagging()
    with gzip.open(folder() / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = [column for column in rows[0] if column.startswith("score_")]
    column = SCORES[name] if SCORES[name] in columns else (columns[0] if columns else None)
    scores = None if column is None else np.array([float(row[column] or "nan") for row in rows])
    clusters = np.array([row.get("group_id") or row["item_id"] for row in rows])
    return _sorted(name, np.array([float(row["error"]) for row in rows]), scores, clusters)


def _tagging(max_rows: int = 40_000) -> Labelled:
    """Tags that a network proposes (probability above 0.2), wrong if not in the picture; a picture is a cluster."""
    with np.load(folder() / "tagging_coco_tresnet.npz") as data:
        columns = {key: data[key] for key in data}
    sigmoid = next(v for k, v in columns.items() if v.ndim == 2 and np.issubdtype(v.dtype, np.floating))
    labels = next(v for k, v in columns.items() if v.ndim == 2 and v is not sigmoid)
    picture, tag = np.nonzero(sigmoid > 0.2)
    picture, tag = picture[:max_rows], tag[:max_rows]
    return _sorted(
        "tagging_coco",
        1.0 - (labels[picture, tag] > 0),
        sigmoid[picture, tag].astype(np.float64),
        picture.astype(str),
    )


def _sorted(name: str, losses: Array, scores: Array | None, clusters: Array) -> Labelled:
    codes = np.unique(clusters, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(codes.max() + 2))
    ranks = None
    if scores is not None:
        names = np.sort(scores[~np.isnan(scores)])
        ranks = np.where(
            np.isnan(scores), 0.0, np.searchsorted(names, scores, side="right") / (len(names) + 1)
        )
        ranks = ranks[order]
    return Labelled(name, losses[order], ranks, codes[order], starts)


# Methods: (losses, ranks, clusters, tolerance) -> release what is ranked above; inf is nothing, -inf everything

Method = Callable[[Array, Array | None, Array, float], float]


def _ours(sample: Sample, tolerance: float) -> float:
    rule = find(sample, {"loss": tolerance}, DELTA)
    return {"all": -np.inf, "nothing": np.inf}.get(rule.scope, np.inf if rule.edge is None else rule.edge)


def by_cluster(losses: Array, scores: Array | None, clusters: Array, tolerance: float) -> float:
    """`certify` with clusters."""
    alone = clusters[-1] + 1 == len(clusters)
    return _ours(Sample({"loss": losses}, scores, None if alone else clusters, None, None), tolerance)


def by_row(losses: Array, scores: Array | None, clusters: Array, tolerance: float) -> float:
    """Invalid variant: the same exact test, with rows counted as independent."""
    return _ours(Sample({"loss": losses}, scores, None, None, None), tolerance)


def _prefixes(losses: Array, scores: Array, shares: Array) -> tuple[Array, Array, Array]:
    """Edges at these shares of the ranking, the rows above each, and their errors; ties stay together."""
    ascending = np.sort(scores)
    places = np.clip(len(scores) - 1 - np.round(shares * len(scores)).astype(int), -1, None)
    edges = np.unique(np.where(places >= 0, ascending[places], -np.inf))[::-1]
    wrong = np.sort(scores[losses > 0])
    rows = len(scores) - np.searchsorted(ascending, edges, side="right")
    return edges, rows, len(wrong) - np.searchsorted(wrong, edges, side="right")


def ltt(losses: Array, scores: Array | None, clusters: Array, tolerance: float) -> float:
    """LTT, Hoeffding-Bentkus with Bonferroni over 100 thresholds (2110.01052)."""
    scores = np.zeros(len(losses)) if scores is None else scores
    edges, rows, errors = _prefixes(losses, scores, np.arange(1, 101) / 100)
    p = hoeffding_bentkus_p(errors / np.maximum(rows, 1), np.maximum(rows, 1), tolerance)
    good = np.flatnonzero((p <= DELTA / 100) & (rows > 0))
    return float(edges[good[-1]]) if len(good) else np.inf


def sgr(losses: Array, scores: Array | None, clusters: Array, tolerance: float) -> float:
    """SGR (Geifman and El-Yaniv 2017): binary search, delta / log2(n) a step."""
    scores = np.zeros(len(losses)) if scores is None else scores
    steps = int(np.ceil(np.log2(len(losses))))
    low, high, best = 0, len(losses), np.inf
    for _ in range(steps):
        middle = max(1, (low + high + 1) // 2)
        edges, rows, errors = _prefixes(losses, scores, np.array([middle / len(losses)]))
        if rows[0] and float(binomial_upper(errors[0], rows[0], 1 - DELTA / steps)) <= tolerance:
            best, low = float(edges[0]), middle
        else:
            high = middle
    return best


def one_a_cluster(method: Method) -> Method:
    """Apply a method to one row a cluster, ignoring cluster sizes: valid only if the sizes are equal."""

    def one_row_method(losses: Array, scores: Array | None, clusters: Array, tolerance: float) -> float:
        rng = np.random.default_rng(len(losses))
        mixed = rng.permutation(len(losses))
        _, first = np.unique(clusters[mixed], return_index=True)
        rows = np.sort(mixed[first])
        return method(losses[rows], None if scores is None else scores[rows], np.arange(len(rows)), tolerance)

    return one_row_method


def mapie(fwer: str, thresholds: Array, delta: float = DELTA) -> Method:
    """MAPIE 1.6's BinaryClassificationController: precision at least 1 - tolerance."""
    from mapie.risk_control import BinaryClassificationController, precision

    def method(losses: Array, scores: Array | None, clusters: Array, tolerance: float) -> float:
        chances = np.full(len(losses), 0.5) if scores is None else scores
        controller = BinaryClassificationController(
            predict_function=lambda x: np.column_stack([1 - x[:, 0], x[:, 0]]),
            risk=precision,
            target_level=float(1 - tolerance),
            confidence_level=1 - delta,
            list_predict_params=thresholds,
            fwer_method=fwer,  # type: ignore[arg-type]
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "no threshold controls the risk" is a result here
            controller.calibrate(chances[:, None], 1 - losses.astype(int))
        best = controller.best_predict_param
        if best is None:
            return np.inf
        return -np.inf if best == 0 else float(np.nextafter(best, 0))

    return method


OURS: dict[str, Method] = {"tolerate, clusters": by_cluster}
ROWS: dict[str, Method] = {
    "exact test of rows (twin)": by_row,
    "LTT, HB + Bonferroni": ltt,
    "SGR": sgr,
    "exact test, one row a cluster": one_a_cluster(by_row),
}


def peers() -> dict[str, Method]:
    """MAPIE's controllers, if it can be installed."""
    if not use("mapie==1.6.0"):
        return {}
    expert = np.concatenate([np.linspace(0.8, 0, 81)])
    return {
        "MAPIE, default": mapie("bonferroni_holm", np.linspace(0, 0.99, 100)),
        "MAPIE, fixed sequence, default grid": mapie("fixed_sequence", np.linspace(0, 0.99, 100)),
        "MAPIE, fixed sequence from 20%": mapie("fixed_sequence", expert),
    }


@dataclass(frozen=True)
class MethodResult:
    """The result of a method over the resamples of a set at a tolerance."""

    broken: int
    runs: int
    released: float  # mean share of the set

    @property
    def p(self) -> float:
        """P(at least so many broken promises) if each is kept with 95%; exact, one-sided."""
        return float(binom.sf(self.broken - 1, self.runs, DELTA))


def measure(data: Labelled, method: Method, tolerance: float, runs: int) -> MethodResult:
    """Certify `runs` resamples; the same ones for every method."""
    broken, shares = 0, []
    for run in range(runs):
        rows, fresh = data.resample(np.random.default_rng([run, data.units]))
        scores = None if data.scores is None else data.scores[rows]
        share, risk = data.truth(method(data.losses[rows], scores, fresh, tolerance))
        broken += risk > tolerance + 1e-12
        shares.append(share)
    return MethodResult(int(broken), runs, float(np.mean(shares)))


def tolerances(data: Labelled) -> list[float]:
    """The tolerances tried on a set."""
    return [min(0.95, float(f"{data.losses.mean() * fraction:.2g}")) for fraction in FRACTIONS]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--runs", type=int, default=200)
    options.add_argument("--peer-runs", type=int, default=60)
    options.add_argument("--sets", default=",".join(SCORES))
    arguments = options.parse_args()
    if not folder().is_dir():
        print(f"no folder {folder()}; set TOLERATE_SHARED")
        return
    peer_methods = peers()
    methods = {**OURS, **ROWS, **peer_methods}
    totals: dict[str, list[MethodResult]] = {name: [] for name in methods}
    for name in arguments.sets.split(","):
        data = load(name)
        sizes = np.diff(data.starts)
        print(
            f"\n{name}: {len(data.losses):,} rows, {data.units:,} clusters of {sizes.min()} to {sizes.max()}, "
            f"risk {data.losses.mean():.3f}{'' if data.scores is not None else ', no score'}"
        )
        tolerances_tried = tolerances(data)
        print(f"{'broken +- (p) / released':36}" + "".join(f"{t:>25.3g}" for t in tolerances_tried))
        for method in methods:
            lines = [
                measure(
                    data,
                    methods[method],
                    t,
                    arguments.peer_runs if method in peer_methods else arguments.runs,
                )
                for t in tolerances_tried
            ]
            totals[method] += lines
            print(f"{method:36}" + "".join(f"{cell(line):>25}" for line in lines), flush=True)
    summary(totals)


def cell(line: MethodResult) -> str:
    share = line.broken / line.runs
    noise = np.sqrt(share * (1 - share) / line.runs)
    return f"{share:.3f}+-{noise:.3f} ({line.p:.1g}) / {line.released:.3f}"


def summary(totals: dict[str, list[MethodResult]]) -> None:
    """Print over all sets and tolerances: broken promises, the worst share, and the mean share released."""
    print(
        f"\n{'all sets and tolerances':36}{'cells':>8}{'broken (p < 0.001)':>20}{'worst':>9}{'released':>11}"
    )
    for name, lines in totals.items():
        bad = sum(line.p < 0.001 for line in lines)
        worst = max(line.broken / line.runs for line in lines)
        mean = np.mean([line.released for line in lines])
        print(f"{name:36}{len(lines):>8}{bad:>20}{worst:>9.3f}{mean:>11.3f}")


if __name__ == "__main__":
    main()
