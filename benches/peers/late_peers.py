#!/usr/bin/env python3
"""Late-interaction engines that live in Python packages (requirements-late.txt), on the vectors and
with the yardsticks of the Rust comparison beside this file; one query per call, one thread.

    python late_peers.py ../../../shared/data/wiki > late-python.jsonl

What the settings mean stands in README.md.
"""

from harness import Engine, Setting, TokenSet, main

PROBES = ((2, 512), (4, 1024), (8, 4096), (16, 8192))  # lists probed, documents scored by centroids


# --- numpy: one matrix product, then the largest of each document; the f32 baseline -------------

def numpy_open(vectors, folder):
    import numpy as np

    rows = vectors.flat().astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(vectors.lengths)[:-1]])

    def ask(query, k):
        scores = np.maximum.reduceat(rows @ query.T, starts, axis=0).sum(axis=1)
        top = np.argpartition(-scores, k)[:k]
        return top[np.argsort(-scores[top], kind="stable")]

    return [Setting("scan of all", ask, passes=1)]


# --- maxsim-cpu: the exact kernel on f32 documents ----------------------------------------------

def maxsim_open(vectors, folder):
    import maxsim_cpu
    import numpy as np

    documents = vectors.documents()

    def ask(query, k):
        scores = np.asarray(maxsim_cpu.maxsim_scores_variable(query, documents))
        top = np.argpartition(-scores, k)[:k]
        return top[np.argsort(-scores[top], kind="stable")]

    return [Setting("scan of all", ask, passes=1)]


# --- fast-plaid: PLAID on PyTorch ---------------------------------------------------------------

def plaid_build(vectors, folder):
    import torch
    from fast_plaid import search

    index = search.FastPlaid(index=str(folder), device="cpu")
    documents = [torch.from_numpy(rows) for rows in vectors.documents()]
    index.create(documents_embeddings=documents, nbits=4, seed=42)


def plaid_open(vectors, folder):
    import torch
    from fast_plaid import search

    torch.set_num_threads(1)
    index = search.FastPlaid(index=str(folder / "index"), device="cpu")

    def setting(probes, scored):
        return Setting(
            f"4 bit, nprobe {probes}, full {scored}",
            lambda query, k: index.search(
                queries_embeddings=query, top_k=k, n_full_scores=scored, n_ivf_probe=probes, show_progress=False,
            ),
            prepare=lambda query: [torch.from_numpy(query)],
            rows=lambda found: [row for row, _ in found[0]],
        )

    return [setting(*pair) for pair in PROBES[:2]]


# --- xtr-warp: XTR with implicit decompression --------------------------------------------------

def warp_build(vectors, folder):
    import torch
    from xtr_warp import XTRWarp

    documents = [torch.from_numpy(rows) for rows in vectors.documents()]
    XTRWarp(index=str(folder)).create(embeddings_source=documents, device="cpu", nbits=4, show_progress=False)


def warp_open(vectors, folder):
    import torch
    from xtr_warp import XTRWarp

    torch.set_num_threads(1)
    index = XTRWarp(index=str(folder / "index"))
    index.load(device="cpu", dtype=torch.float32)

    def setting(label, **more):
        return Setting(
            f"4 bit, {label}",
            lambda query, k: index.search(
                queries_embeddings=query, top_k=k, num_threads=1, show_progress=False, **more,
            ),
            prepare=lambda query: torch.from_numpy(query)[None],
            rows=lambda found: [row for row, _ in found[0]],
        )

    return [setting("auto")] + [setting(f"nprobe {n}", nprobe=n, bound=128) for n in (16, 32, 64)]


# --- TACHIOM: token-aware centroids, graph, product quantisation --------------------------------

def tachiom_build(vectors, folder):
    import numpy as np
    import tachiom

    words = np.load(vectors.folder / "tok_doc_ids.npy").astype(np.uint32)
    rows = np.ascontiguousarray(vectors.flat()).view(np.uint16)
    index = tachiom.Tachiom.build_from_arrays(rows, words, vectors.lengths.astype(np.int32), pq_sample_size=250_000)
    folder.mkdir()
    index.save(str(folder / "tachiom.bin"))


def tachiom_open(vectors, folder):
    import tachiom

    index = tachiom.Tachiom.load(str(folder / "index" / "tachiom.bin"))

    def setting(centroids, documents, alpha):
        return Setting(
            f"centroids {centroids}, documents {documents}, alpha {alpha}",
            lambda query, k: index.search(
                query, k, k_centroids=centroids, k_docs_to_score=documents, ef_search=max(30, centroids), alpha=alpha,
            ),
            rows=lambda found: found[1],
        )

    return [setting(20, 500, 0.45), setting(40, 1000, None), setting(80, 2000, None)]


ENGINES = {
    "numpy": Engine("numpy", None, numpy_open),
    "maxsim-cpu": Engine("maxsim-cpu", None, maxsim_open),
    "fast-plaid": Engine("fast-plaid", plaid_build, plaid_open),
    "xtr-warp": Engine("xtr-warp-rs", warp_build, warp_open),
    "tachiom": Engine("tachiom", tachiom_build, tachiom_open),
}

if __name__ == "__main__":
    main(ENGINES, ["search", "search-32"], TokenSet, __doc__)
