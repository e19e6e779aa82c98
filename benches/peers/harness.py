"""What the two scripts share: the sets, the timing, the lines that are printed.

An engine is a pair of functions, `build(set, folder)` and `open(set, folder)`; each runs in a
process of its own, so that the memory counted while it answers is what it holds to answer. `open`
returns settings; of a setting only the call of the engine is timed: queries are put into the form
that the engine takes before, and what it returns is read after. Times are the least of the passes
for each query. The fields of a line are those of `src/report.rs`.
"""

import argparse
import importlib.metadata
import json
import math
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS")
ENOUGH_SECONDS = 60  # once the passes so far took this long, no further one is begun


@dataclass
class Setting:
    """An opened index at one setting."""

    label: str
    ask: Callable[[Any, int], Any]  # timed: a prepared query and k to whatever the engine returns
    prepare: Callable[[Any], Any] = lambda query: query
    rows: Callable[[Any], Any] = list  # what the engine returned to row numbers, best first
    ks: list[int] = field(default_factory=list)  # empty: all that the run asks for
    passes: int = 1 << 30


@dataclass
class Engine:
    """One engine; `build` is None where it is built as it is opened."""

    package: str
    build: Callable | None
    open: Callable


class Truth:
    """The exact best rows of each query."""

    def __init__(self, folder, stem):
        import numpy as np

        self.ids = np.load(folder / f"{stem}_ids.npy")

    def recall(self, answers, k):
        shares = []
        for answer, exact in zip(answers, self.ids):
            exact = set(exact[:k].tolist())
            shares.append(len(exact & set(answer[:k])) / len(exact))
        return sum(shares) / len(shares)


class SparseSet:
    """The sparse half of a set; a query is a pair of arrays, terms and weights."""

    def __init__(self, folder):
        import numpy as np

        self.folder, self.name, self.task = Path(folder), Path(folder).name, "sparse"
        self.shelf, self.query_kind = "sparse", "real"
        starts, terms, weights = self._read("queries")
        self.queries = [(terms[a:b], weights[a:b]) for a, b in zip(starts, starts[1:])]
        self.truth = Truth(self.folder, "gt_sparse")
        starts = np.load(self.folder / "sparse_docs_indptr.npy", mmap_mode="r")
        self.count, self.units = len(starts) - 1, int(starts[-1])
        self.vocabulary = 1 + int(np.load(self.folder / "sparse_docs_indices.npy", mmap_mode="r").max())
        self.vocabulary = max(self.vocabulary, 1 + int(terms.max()))

    def _read(self, what):
        import numpy as np

        part = lambda name: np.load(self.folder / f"sparse_{what}_{name}.npy")
        return part("indptr"), part("indices").astype(np.int64), part("values").astype(np.float32)

    def documents(self):
        """Row starts, terms and weights."""
        return self._read("docs")

    def rows(self):
        """(row, terms, weights) of each document."""
        starts, terms, weights = self.documents()
        for row, (a, b) in enumerate(zip(starts, starts[1:])):
            yield row, terms[a:b], weights[a:b]


class TokenSet:
    """The token half of a set; a query is an array of f32 rows."""

    def __init__(self, folder, task):
        import numpy as np

        self.folder, self.name, self.task, self.shelf = Path(folder), Path(folder).name, task, "search"
        if task == "search":
            rows, lengths = np.load(self.folder / "tok_queries.npy"), np.load(self.folder / "tok_querylens.npy")
            self.query_kind, stem = "real", "gt_maxsim"
        else:
            rows = np.load(self.folder / "tok_queries32.npy")
            rows = rows.reshape(-1, rows.shape[-1])
            lengths = np.full(len(rows) // 32, 32)
            self.query_kind, stem = "32-row", "gt_maxsim32"
        self.queries = self._split(rows.astype(np.float32), lengths)
        self.truth = Truth(self.folder, stem)
        self.lengths = np.load(self.folder / "tok_doclens.npy")
        self.count, self.units, self.dim = len(self.lengths), int(self.lengths.sum()), rows.shape[-1]

    @staticmethod
    def _split(rows, lengths):
        import numpy as np

        starts = np.concatenate([[0], np.cumsum(lengths)])
        return [np.ascontiguousarray(rows[a:b]) for a, b in zip(starts, starts[1:])]

    def flat(self):
        """All token rows as they are stored: f16."""
        import numpy as np

        return np.load(self.folder / "tok_docs.npy")

    def documents(self):
        """The f32 rows of each document."""
        import numpy as np

        return self._split(self.flat().astype(np.float32), self.lengths)


def bytes_of(path):
    """Bytes of all files below a folder, or of a file."""
    path = Path(path)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def memory():
    """Resident memory in MiB: the process's own, and pages of mapped files."""
    kib = {"RssAnon": 0, "RssFile": 0}
    for line in open("/proc/self/status"):
        name = line.split(":")[0]
        if name in kib:
            kib[name] = int(line.split()[1])
    return kib["RssAnon"] / 1024, kib["RssFile"] / 1024


def quantile(values, q):
    values = sorted(values)
    return values[max(math.ceil(q * len(values)), 1) - 1]


def timed(queries, passes, ask):
    best, answers, begin, done = [math.inf] * len(queries), [], time.perf_counter(), 0
    while done < max(passes, 1) and (done == 0 or time.perf_counter() - begin < ENOUGH_SECONDS):
        answers = []
        for i, query in enumerate(queries):
            start = time.perf_counter_ns()
            answer = ask(query)
            best[i] = min(best[i], (time.perf_counter_ns() - start) / 1000)
            answers.append(answer)
        done += 1
    return best, answers, done


def search(args, vectors, name, engine, folder):
    """Child: asks every query at every setting, and prints a line for each."""
    before = memory()
    begin = time.perf_counter()
    settings = engine.open(vectors, folder)
    built = {"seconds": time.perf_counter() - begin, "threads": 1}
    size = None
    if engine.build:
        built = json.loads((folder / "built.json").read_text())
        size = bytes_of(folder / "index")
    queries = vectors.queries[: args.limit]
    for setting in settings:
        prepared = [setting.prepare(query) for query in queries]
        for k in setting.ks or args.k:
            micros, answers, passes = timed(prepared, min(args.passes, setting.passes), lambda q: setting.ask(q, k))
            answers = [[int(row) for row in setting.rows(answer)] for answer in answers]
            now = memory()
            print(json.dumps(dict(
                task=vectors.task, set=vectors.name, queries=vectors.query_kind, engine=name,
                version=importlib.metadata.version(engine.package), setting=setting.label, language="python",
                k=k, asked=len(queries), passes=passes,
                recall10=round(vectors.truth.recall(answers, 10), 4),
                recall100=round(vectors.truth.recall(answers, 100), 4) if k >= 100 else None,
                p50_us=round(quantile(micros, 0.5), 1), p99_us=round(quantile(micros, 0.99), 1),
                mean_us=round(sum(micros) / len(micros), 1),
                build_s=round(built["seconds"], 2), build_threads=built["threads"], bytes=size,
                bytes_per_unit=round(size / vectors.units, 3) if size else None,
                own_mib=round(max(now[0] - before[0], 0), 1), mapped_mib=round(max(now[1] - before[1], 0), 1),
            )), flush=True)


def build(args, vectors, engine, folder):
    """Child: builds, and leaves word of how long it took."""
    begin = time.perf_counter()
    engine.build(vectors, folder / "index")
    built = {"seconds": time.perf_counter() - begin, "threads": args.build_threads}
    built["version"] = importlib.metadata.version(engine.package)
    (folder / "built.json").write_text(json.dumps(built))


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def current(folder, engine):
    """Whether an earlier run left an index of this very version."""
    try:
        return json.loads((folder / "built.json").read_text())["version"] == version(engine.package)
    except (OSError, ValueError, KeyError):
        return False


def main(engines, tasks, open_set, description):
    """Reads the command line and does what it says: in the parent, one process after another."""
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, help="folder of the set")
    parser.add_argument("--engines", type=lambda text: text.split(","), default=[], help="names, or beginnings of names")
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=tasks)
    parser.add_argument("--k", type=numbers, default=[10, 100])
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--limit", type=int, help="use so many of the queries")
    parser.add_argument("--build-threads", type=int, default=1)
    parser.add_argument("--rebuild", action="store_true", help="build anew what an earlier run left")
    parser.add_argument("--work", type=Path, default=Path("target/peers-python"), help="where indexes go")
    parser.add_argument("--child", nargs=3, metavar=("STAGE", "TASK", "ENGINE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        stage, task, name = args.child
        # Some engines talk on standard output; what is printed there from here on are lines.
        sys.stdout = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        vectors, engine = open_set(args.set, task), engines[name]
        folder = args.work / vectors.name / f"{vectors.shelf}-{name}"
        if stage == "build":
            build(args, vectors, engine, folder)
        else:
            search(args, vectors, name, engine, folder)
        return
    for task in args.tasks:
        shelf = open_set(args.set, task).shelf
        for name, engine in engines.items():
            if args.engines and not any(name.startswith(wanted) for wanted in args.engines):
                continue
            if version(engine.package) is None:
                print(f"{name}: {engine.package} is not installed", file=sys.stderr)
                continue
            folder = args.work / args.set.name / f"{shelf}-{name}"
            stages = ["search"]
            if engine.build and (args.rebuild or not current(folder, engine)):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                stages = ["build", "search"]
            for stage in stages:
                threads = args.build_threads if stage == "build" else 1
                env = dict(os.environ, **{pool: str(threads) for pool in POOLS})
                run = subprocess.run([sys.executable, *sys.argv, "--child", stage, task, name], env=env)
                if run.returncode:
                    print(f"{task} {name}: {stage} failed ({run.returncode})", file=sys.stderr)
                    break
