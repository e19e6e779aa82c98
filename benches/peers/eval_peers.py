"""Compares `lateen eval` with ir_measures (trec_eval behind it) and with ranx, its t-test with scipy's,
and its randomisation test with scipy's and ranx's.

    pip install -r requirements-eval.txt
    python eval_peers.py [--rounds N] LATEEN SET [SET...]

For each set and each way of asking that it has, a run is made and judged by all; every mean must
agree to 1e-6, and so must the difference and p of each run against the first.

A randomisation test draws signs, so two of them agree within what drawing leaves to chance: each p is
a share of rounds, with a variance of p (1 - p) / rounds, and the two may differ by five standard
deviations of their difference, plus one round of each. (That finds a wrong test: one of one side only
would be off by half of p.) Where scipy tries all signs, of 16 queries at most, its p has no variance.
ranx compares rounded means with >=, so of the rounds that come to just what was seen (many, where a
measure has few values, as MRR has) it counts some and misses some: its p must lie between that of the
rounds which come to more and ours, within chance.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import ir_measures
import numpy as np
import ranx
from ir_measures import AP, RR, R, nDCG
from scipy.stats import permutation_test, ttest_rel

TOLERANCE = 1e-6
MEASURES = {
    "ndcg@10": nDCG @ 10,
    "ndcg@100": nDCG @ 100,
    "recall@10": R @ 10,
    "recall@100": R @ 100,
    "mrr": RR,
    # With a cut ir_measures asks MS MARCO's script, which ranks equal scores by document id ascending,
    # where trec_eval, and lateen with it, has them descending: .935 and .954 on one run of many ties.
    # Both must agree where no scores are equal, so it gets ours told apart by their rank.
    "mrr@10": RR @ 10,
    "map": AP,
}
RANX = {"ndcg@10": "ndcg@10", "ndcg@100": "ndcg@100", "recall@10": "recall@10",
        "recall@100": "recall@100", "mrr": "mrr", "mrr@10": "mrr@10", "map": "map"}
# Rounds of each randomisation test; lateen's are fixed.
# ranx is far slower than the others: on large sets `--rounds 0` leaves its randomisation test out.
OURS, SCIPY, RANX_ROUNDS = 100_000, 100_000, 20_000
MODES = ["sparse", "tokens", "rerank", "rrf"]


def lateen(program, *args):
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def judgements(path):
    """The set's `qrels.tsv`: a heading, then query, document, grade."""
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:] if line]
    return [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in rows]


def by_query(measure, qrels, run):
    """One value for each judged query: 0 where the run does not answer it."""
    values = {qrel.query_id: 0.0 for qrel in qrels}
    for metric in ir_measures.iter_calc([measure], qrels, run):
        values[metric.query_id] = metric.value
    return [values[query] for query in sorted(values)]


def untied(run):
    """The hits as trec_eval orders them, by score, then by document, descending, with scores that
    are all different."""
    rankings = {}
    for hit in run:
        rankings.setdefault(hit.query_id, []).append(hit)
    for ranking in rankings.values():
        ranking.sort(key=lambda hit: (hit.score, hit.doc_id), reverse=True)
    return [ir_measures.ScoredDoc(hit.query_id, hit.doc_id, float(len(ranking) - rank))
            for ranking in rankings.values() for rank, hit in enumerate(ranking)]


def ranx_run(run):
    """A run for ranx, which keeps equal scores in no order of its own: ours are told apart by rank."""
    rankings = {}
    for hit in untied(run):
        rankings.setdefault(hit.query_id, {})[hit.doc_id] = hit.score
    return ranx.Run(rankings)


def far(p, q, rounds_p, rounds_q):
    """Whether two shares of rounds are farther apart than chance allows."""
    mean = (p + q) / 2
    spread = (mean * (1 - mean) * (1 / rounds_p + (1 / rounds_q if rounds_q else 0))) ** 0.5
    return abs(p - q) > 5 * spread + 1 / rounds_p + (1 / rounds_q if rounds_q else 0)


def randomisation(values, against):
    """p by scipy, and how many rounds it is of: 0 where all signs were tried."""
    mean = lambda a, b, axis: np.mean(a - b, axis=axis)
    tested = permutation_test((np.array(values), np.array(against)), mean, vectorized=True,
                              permutation_type="samples", n_resamples=SCIPY, batch=2000,
                              rng=np.random.default_rng(7))
    return tested.pvalue, 0 if 2 ** len(values) <= SCIPY else SCIPY


def beyond(values, against):
    """The share of rounds that come to more than what was seen, those that only equal it left out."""
    differences = np.array(values) - np.array(against)
    seen, rng, found = abs(differences.sum()), np.random.default_rng(11), 0
    for _ in range(0, RANX_ROUNDS, 2000):
        signs = rng.integers(0, 2, (2000, len(differences))) * 2 - 1
        found += int((abs(signs @ differences) > seen + 1e-9).sum())
    return found / RANX_ROUNDS


def compare(program, folder, work, rounds_of_ranx):
    worst, checked, drawn = 0.0, 0, 0
    index = work / "index"
    built = lateen(program, "build", index, "--set", folder, "--force")
    assert built is not None, f"{folder}: not built"
    qrels = judgements(folder / "qrels.tsv")
    first = None
    for mode in MODES:
        run = work / f"{mode}.run"
        asked = lateen(program, "search", index, "--set", folder, "--mode", mode, "--top", 100,
                       "--run", run)
        if asked is None:
            continue  # the set lacks that half
        first = first or run
        told = json.loads(lateen(program, "eval", "--qrels", folder / "qrels.tsv", "--run", run,
                                 "--against", first, "--measures", ",".join(MEASURES), "--json"))
        ours = list(ir_measures.read_trec_run(str(run)))
        base = list(ir_measures.read_trec_run(str(first)))
        graded = {}
        for qrel in qrels:
            graded.setdefault(qrel.query_id, {})[qrel.doc_id] = qrel.relevance
        graded = ranx.Qrels(graded)
        runs = [ranx_run(ours), ranx_run(base)]
        for one, name in zip(runs, ("ours", "base")):
            one.name = name
        of_ranx = ranx.evaluate(graded, runs[0], list(RANX.values()), make_comparable=True)
        tests = None
        if run != first and rounds_of_ranx:
            tests = ranx.compare(graded, runs, list(RANX.values()), stat_test="fisher",
                                 n_permutations=rounds_of_ranx, make_comparable=True).to_dict()
        for name, measure in MEASURES.items():
            told_apart = name == "mrr@10"
            values = by_query(measure, qrels, untied(ours) if told_apart else ours)
            against = by_query(measure, qrels, untied(base) if told_apart else base)
            mean, other = sum(values) / len(values), sum(against) / len(against)
            pairs = [("mean", mean), ("mean", float(of_ranx[RANX[name]])),
                     ("difference", mean - other)]
            if values != against:
                pairs.append(("p", ttest_rel(values, against).pvalue))
            for what, expected in pairs:
                apart = abs(told[name][what] - expected)
                worst, checked = max(worst, apart), checked + 1
                if apart > TOLERANCE:
                    sys.exit(f"{folder.name}, {mode}, {name}, {what}: "
                             f"{told[name][what]} here, {expected} there")
            if run != first and values != against:
                p = told[name]["p_randomization"]
                exact, rounds = randomisation(values, against)
                if far(p, exact, OURS, rounds):
                    sys.exit(f"{folder.name}, {mode}, {name}, p of the randomisation test: "
                             f"{p} here, {exact} by scipy")
                drawn += 1
                if not tests:
                    continue
                theirs = tests["ours"]["comparisons"]["base"][RANX[name]]
                low = beyond(values, against)
                if (theirs < low and far(low, theirs, RANX_ROUNDS, rounds_of_ranx)
                        or theirs > p and far(p, theirs, OURS, rounds_of_ranx)):
                    sys.exit(f"{folder.name}, {mode}, {name}, p of the randomisation test: "
                             f"{p} here, {low} without ties, {theirs} by ranx")
                drawn += 1
    return worst, checked, drawn


def main():
    given, rounds = sys.argv[1:], RANX_ROUNDS
    if given[:1] == ["--rounds"]:
        rounds, given = int(given[1]), given[2:]
    program, *folders = given
    for folder in map(Path, folders):
        with tempfile.TemporaryDirectory() as work:
            worst, checked, drawn = compare(program, folder, Path(work), rounds)
        print(f"{folder.name}: {checked} numbers agree, the farthest apart by {worst:.1e}; "
              f"{drawn} p of randomisation tests agree within chance")


if __name__ == "__main__":
    main()
