#!/usr/bin/env python3
"""Learned-sparse engines that live in Python packages (requirements-sparse.txt), on the vectors and
with the yardsticks of the Rust comparison beside this file; one query per call, one thread.

    python sparse_peers.py ../../../shared/data/mixed > sparse-python.jsonl

What the settings mean stands in README.md.
"""

import json
import shutil
import struct

from harness import Engine, Setting, SparseSet, main


# --- scipy: columns of the matrix, multiplied and added; the plainest exact search --------------

def scipy_open(vectors, folder):
    import numpy as np
    import scipy.sparse as sp

    starts, terms, weights = vectors.documents()
    matrix = sp.csr_matrix((weights, terms, starts), shape=(vectors.count, vectors.vocabulary)).tocsc()

    def ask(query, k):
        scores = matrix[:, query[0]] @ query[1]
        top = np.argpartition(-scores, k)[:k]
        return top[np.argsort(-scores[top], kind="stable")]

    return [Setting("exact", ask)]


# --- Seismic: clusters of each term's strongest postings, approximate ---------------------------

def seismic_build(vectors, folder):
    import numpy as np
    import seismic

    folder.mkdir()
    rows = folder / "rows.bin"
    with open(rows, "wb") as out:  # its own input: count, then per row length, u32 terms, f32 weights
        out.write(struct.pack("<I", vectors.count))
        for _, terms, weights in vectors.rows():
            out.write(struct.pack("<I", len(terms)) + terms.astype("<u4").tobytes() + weights.astype("<f4").tobytes())
    index = seismic.SeismicIndexRaw.build(
        str(rows), n_postings=2000, centroid_fraction=0.1, min_cluster_size=2, summary_energy=0.4,
        max_fraction=1.5, doc_cut=15, nknn=0,
    )
    rows.unlink()
    index.save(str(folder / "seismic"))


def seismic_open(vectors, folder):
    import numpy as np
    import seismic

    (file,) = (folder / "index").iterdir()
    index = seismic.SeismicIndexRaw.load(str(file))

    def setting(cut, factor):
        return Setting(
            f"2000 postings, cut {cut}, heap factor {factor}",
            lambda query, k: index.search(query[0], query[1], k, cut, factor, 0, True),
            prepare=lambda query: (query[0].astype(np.int32), query[1]),
            rows=lambda found: [row for _, row in found],
        )

    return [setting(*pair) for pair in ((5, 0.8), (8, 0.8), (10, 0.7), (20, 0.7), (20, 0.6), (40, 0.5))]


# --- SINDI (VSAG): windows of postings, added up; exact with its f32 second tier ----------------

def sindi(prune):
    def parameters(vectors):
        return json.dumps({
            "dtype": "sparse", "metric_type": "ip", "dim": vectors.vocabulary,
            "index_param": {
                "use_reorder": True, "doc_prune_ratio": prune, "window_size": 60000,
                "term_id_limit": vectors.vocabulary + 1, "term_prune_ratio": 0.0, "n_candidate": 0,
            },
        })

    def build(vectors, folder):
        import numpy as np
        import pyvsag

        starts, terms, weights = vectors.documents()
        index = pyvsag.Index("sindi", parameters(vectors))
        ids = np.arange(vectors.count, dtype=np.int64)
        index.build(starts.astype(np.uint32), terms.astype(np.uint32), weights, ids)
        folder.mkdir()
        index.save(str(folder / "sindi"))

    def open_(vectors, folder):
        import numpy as np
        import pyvsag

        index = pyvsag.Index("sindi", parameters(vectors))
        index.load(str(folder / "index" / "sindi"))

        def setting(query_prune, more):
            search = {
                k: json.dumps({"sindi": {
                    "query_prune_ratio": query_prune, "term_prune_ratio": 0.0, "n_candidate": more * k,
                }})
                for k in range(1, 1001)
            }

            def ask(query, k):
                return index.knn_search(query[0], query[1], query[2], k, search[k])

            return Setting(
                f"document prune {prune}, query prune {query_prune}, rescored {more}k", ask,
                prepare=lambda query: (
                    np.array([0, len(query[0])], np.uint32), query[0].astype(np.uint32), query[1],
                ),
                rows=lambda found: np.asarray(found[0]).ravel(),
            )

        if prune == 0:
            return [setting(0.0, 10), setting(0.0, 2), setting(0.3, 10), setting(0.5, 10)]
        return [setting(0.0, 10), setting(0.3, 10), setting(0.5, 10)]

    return Engine("pyvsag", build, open_)


# --- Qdrant edge: posting lists, exact -----------------------------------------------------------

def qdrant_build(vectors, folder):
    import qdrant_edge as qe

    folder.mkdir()
    shard = qe.EdgeShard.create(
        str(folder), qe.EdgeConfig(sparse_vectors={"s": qe.EdgeSparseVectorParams()}, wal_enabled=False),
    )
    points = []
    for row, terms, weights in vectors.rows():
        points.append(qe.Point(row, {"s": qe.SparseVector(terms.tolist(), weights.tolist())}))
        if len(points) == 1000 or row + 1 == vectors.count:
            shard.update(qe.UpdateOperation.upsert_points(points))
            points = []
    shard.optimize()
    shard.flush()
    shard.close()


def qdrant_open(vectors, folder):
    import qdrant_edge as qe

    shard = qe.EdgeShard.load(str(folder / "index"))

    def ask(query, k):
        return shard.search(qe.SearchRequest(query=qe.Query.Nearest(query, "s"), limit=k))

    return [Setting(
        "exact", ask,
        prepare=lambda query: qe.SparseVector(query[0].tolist(), query[1].tolist()),
        rows=lambda points: [point.id for point in points],
    )]


# --- BMP: block-max pruning over u8 impacts; approximate by its integers even at alpha 1 --------

BMP_QUERY_MAX = 31  # its u16 accumulators overflow above about 5 bits of query weight


def bmp_build(vectors, folder):
    import bmp
    import numpy as np

    folder.mkdir()
    names = [str(term) for term in range(vectors.vocabulary)]
    largest = max(weights.max() for _, _, weights in vectors.rows())
    index = bmp.Indexer(str(folder / "bmp"), 16, True)
    for row, terms, weights in vectors.rows():
        impacts = np.clip(np.round(weights / largest * 255), 1, 255).astype(int).tolist()
        index.add_document(str(row), dict(zip((names[term] for term in terms), impacts)))
    index.finish()


def bmp_open(vectors, folder):
    import bmp

    searcher = bmp.Searcher(str(folder / "index" / "bmp"))

    def prepare(query):
        unit = query[1].max() / BMP_QUERY_MAX
        return {str(int(term)): max(1, round(float(weight / unit))) for term, weight in zip(*query)}

    def setting(alpha, beta):
        return Setting(
            f"blocks of 16, alpha {alpha}, beta {beta}", lambda query, k: searcher.search(query, k, alpha, beta),
            prepare=prepare, rows=lambda found: found[0],
        )

    return [setting(1.0, 1.0), setting(0.9, 1.0)]


# --- impact-index: block-max MaxScore and WAND over 8-bit impacts -------------------------------

def impact_build(vectors, folder):
    import impact_index
    import numpy as np

    folder.mkdir()
    plain = folder.parent / "plain"
    builder = impact_index.IndexBuilder(str(plain))
    for row, terms, weights in vectors.rows():
        builder.add(row, terms.astype(np.uint64), weights)
    builder.build(True)
    impact_index.Index.load(str(plain), True).compress(str(folder / "compressed"), nbits=8)
    shutil.rmtree(plain)


def impact_open(vectors, folder):
    import impact_index

    index = impact_index.Index.load(str(folder / "index" / "compressed"), True)
    setting = lambda label, search: Setting(
        f"8 bit, {label}", search,
        prepare=lambda query: dict(zip(query[0].tolist(), query[1].tolist())),
        rows=lambda found: [document.docid for document in found],
    )
    return [setting("MaxScore", index.search_maxscore), setting("WAND", index.search_wand)]


# --- PISA: block-compressed postings of u8 impacts ----------------------------------------------

PISA_QUERY_UNIT = 100  # query weights are whole numbers, given by repeating the term


def pisa_build(vectors, folder):
    import numpy as np
    import pyterrier_pisa as pisa

    largest = max(weights.max() for _, _, weights in vectors.rows())

    def documents():
        for row, terms, weights in vectors.rows():
            impacts = np.clip(np.round(weights / largest * 255), 1, 255).astype(int).tolist()
            yield {"docno": str(row), "toks": dict(zip(map(str, terms.tolist()), impacts))}

    pisa.PisaIndex(str(folder), stemmer="none", threads=1).toks_indexer(scale=1.0).index(documents())
    pisa.PisaIndex(str(folder), stemmer="none").quantized(num_results=10)  # makes its search files


def pisa_open(vectors, folder):
    import numpy as np
    import pyterrier_pisa as pisa

    index = pisa.PisaIndex(str(folder / "index"), stemmer="none", threads=1)

    def setting(algorithm):
        # The call below the transformer: its pandas frames would cost more than the search.
        context = index.quantized(num_results=10, query_algorithm=algorithm, toks_scale=1.0)._ctxt
        out = [np.empty(1000, dtype) for dtype in (np.int32, object, np.int32, np.float32)]

        def ask(query, k):
            found = pisa._pisathon.retrieve(
                context, algorithm, query, k=k, threads=1, query_weighted=1, pretokenised=True,
                result_qidxs=out[0], result_docnos=out[1], result_ranks=out[2], result_scores=out[3],
            )
            return out[1][:found].copy()

        def prepare(query):
            weights = (max(1.0, float(round(weight * PISA_QUERY_UNIT))) for weight in query[1].tolist())
            return [(0, dict(zip(map(str, query[0].tolist()), weights)))]

        return Setting(f"u8, {algorithm}", ask, prepare=prepare)

    return [setting(name) for name in ("maxscore", "block_max_maxscore", "block_max_wand")]


# --- kANNolo: a graph over sparse vectors, approximate ------------------------------------------

def kannolo_of(kind):
    def build(vectors, folder):
        import kannolo
        import numpy as np

        starts, terms, weights = vectors.documents()
        more = {"prune_percentage": 80} if kind == "SparseRerankHNSW" else {}
        index = getattr(kannolo, kind).build_from_arrays(
            terms.astype(np.int32), weights, starts.astype(np.int64), m=16, ef_construction=150, **more,
        )
        folder.mkdir()
        index.save(str(folder / "kannolo"))

    def open_(vectors, folder):
        import kannolo
        import numpy as np

        index = getattr(kannolo, kind).load(str(folder / "index" / "kannolo"))

        def setting(ef):
            if kind == "SparseRerankHNSW":
                ask = lambda query, k: index.search(query[0], query[1], max(k, ef // 2), k, ef)
            else:
                ask = lambda query, k: index.search(query[0], query[1], k, ef)
            return Setting(
                f"m 16, ef {ef}", ask, prepare=lambda query: (query[0].astype(np.int32), query[1]),
                rows=lambda found: found[1], ks=[10] if ef < 100 else [],
            )

        return [setting(ef) for ef in (50, 100, 200, 500)]

    return Engine("kannolo", build, open_)


ENGINES = {
    "qdrant-edge-py": Engine("qdrant-edge-py", qdrant_build, qdrant_open),
    "sindi": sindi(0.0),
    "sindi-pruned": sindi(0.3),
    "scipy": Engine("scipy", None, scipy_open),
    "impact-index": Engine("impact-index", impact_build, impact_open),
    "pisa": Engine("pyterrier_pisa", pisa_build, pisa_open),
    "bmp": Engine("bmp", bmp_build, bmp_open),
    "seismic": Engine("pyseismic-lsr", seismic_build, seismic_open),
    "kannolo-rerank": kannolo_of("SparseRerankHNSW"),
    "kannolo-dotpacking": kannolo_of("SparseDotPacking8HNSW"),
}

if __name__ == "__main__":
    main(ENGINES, ["sparse"], lambda folder, task: SparseSet(folder), __doc__)
