"""Runs the recipes of the guide (src/guide/producers.md) and searches what they write.

    cargo build --release --features cli
    python3 tests/recipes/run.py target/release/lateen

Needs NumPy, and nothing of what the recipes import: the packages are imitated here by modules that
return values of the types that they return. What a page of the guide says is run as it stands.

Where PyTorch can be imported, the recipes are run once more on tensors of its own (sparse, float16,
bfloat16), where FastEmbed can, on embeddings of its class, and where sentence-transformers can, its
recipe is run on a SparseEncoder of the package itself, with a small model of random weights.
"""

import contextlib
import importlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import types
import urllib.request

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "../../src/guide/producers.md")
IDS = ["lipid", "soap", "butter"]
TEXTS = ["lipids are fats oils and waxes", "soap is made of fats and lye", "butter is churned cream"]
QUERY_IDS = [1, 2, 3]
QUERIES = ["waxes oils", "lye", "churned cream"]
DIM, VOCABULARY = 128, 30522

REAL = types.SimpleNamespace(torch=None, embedding=None)

# --- what models give -------------------------------------------------------------------------


def term(word):
    """A term id that depends on the word alone."""
    number = 17
    for letter in word:
        number = (number * 31 + ord(letter)) % (VOCABULARY - 1000)
    return 1000 + number


def row(word):
    """A row of length 1 that depends on the word alone."""
    vector = np.random.default_rng(term(word)).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def weights(text):
    words = sorted({term(word) for word in text.split()})
    return np.array(words, np.int64), np.full(len(words), 1.5, np.float32)


def matrix(text):
    return np.stack([row(word) for word in text.split()])


def padded(texts):
    """[texts, rows, dim] with zeros at the ends, and the mask."""
    matrices = [matrix(text) for text in texts]
    longest = max(len(one) for one in matrices) + 1
    rows = np.zeros((len(matrices), longest, DIM), np.float32)
    mask = np.zeros((len(matrices), longest), np.int64)
    for at, one in enumerate(matrices):
        rows[at, : len(one)] = one
        mask[at, : len(one)] = 1
    return rows, mask


# --- types of PyTorch, as far as recipes use them ----------------------------------------------


class Tensor:
    """A dense tensor; `dtype` may be one that NumPy does not have."""

    def __init__(self, array, dtype=None, device="cuda:0"):
        self.array, self.dtype, self.device = array, dtype or str(array.dtype), device
        self.shape = array.shape

    def detach(self):
        return self

    def cpu(self):
        return Tensor(self.array, self.dtype, "cpu")

    def float(self):
        return Tensor(self.array.astype(np.float32), "float32", self.device)

    def bool(self):
        return Tensor(self.array.astype(bool), "bool", self.device)

    def numpy(self):
        if self.dtype == "bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        if self.device != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.array


class SparseTensor:
    """A sparse tensor in coordinates, not coalesced: entries in any order."""

    def __init__(self, indices, values, shape, coalesced=False, device="cuda:0"):
        self._indices, self._values, self.shape = indices, values, shape
        self.coalesced, self.device = coalesced, device

    def coalesce(self):
        order = np.lexsort((self._indices[1], self._indices[0]))
        indices, values = self._indices[:, order], self._values[order]
        return SparseTensor(indices, values, self.shape, True, self.device)

    def cpu(self):
        return SparseTensor(self._indices, self._values, self.shape, self.coalesced, "cpu")

    def indices(self):
        assert self.coalesced, "Cannot get indices on an uncoalesced tensor"
        return Tensor(self._indices, device=self.device)

    def values(self):
        assert self.coalesced, "Cannot get values on an uncoalesced tensor"
        return Tensor(self._values, device=self.device)

    def numpy(self):
        raise TypeError("can't convert Sparse layout tensor to numpy")


def tensor(array, dtype=None):
    """Of PyTorch itself where it is there."""
    if REAL.torch is None:
        return Tensor(array, dtype)
    made = REAL.torch.from_numpy(np.ascontiguousarray(array))
    return made.to(getattr(REAL.torch, dtype)) if dtype else made


def sparse_tensor(texts):
    rows = [weights(text) for text in texts]
    indices = np.concatenate(
        [np.stack([np.full(len(terms), at), terms]) for at, (terms, _) in enumerate(rows)], axis=1
    ).astype(np.int64)
    values = np.concatenate([values for _, values in rows])
    order = np.random.default_rng(1).permutation(len(values))
    indices, values, shape = indices[:, order], values[order], (len(texts), VOCABULARY)
    if REAL.torch is not None:
        made = (tensor(indices), tensor(values), shape)
        return REAL.torch.sparse_coo_tensor(*made, check_invariants=True)
    return SparseTensor(indices, values, shape)


def bfloat16(array):
    """Rounded to the numbers that bfloat16 has."""
    if REAL.torch is not None:
        return tensor(array, "bfloat16")
    bits = array.astype(np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return Tensor(bits.view(np.float32), "bfloat16")


# --- the packages -------------------------------------------------------------------------------


def module(name, **members):
    made = sys.modules[name] = types.ModuleType(name)
    made.__dict__.update(members)
    parent, _, last = name.rpartition(".")
    if parent:
        if parent not in sys.modules:
            module(parent)
        setattr(sys.modules[parent], last, made)
    return made


class SparseEncoder:
    def __init__(self, name):
        pass

    def encode_document(self, texts):
        return sparse_tensor(texts)

    encode_query = encode_document


class PyLate:
    def __init__(self, name):
        pass

    def encode(self, texts, is_query):
        matrices = [matrix(text) for text in texts]
        # Arrays, or with convert_to_tensor tensors; queries are tensors here.
        return [tensor(one) for one in matrices] if is_query and REAL.torch else matrices


class Checkpoint:
    def __init__(self, name, colbert_config):
        pass

    def docFromText(self, texts, bsize, keep_dims):
        assert keep_dims == "flatten"
        matrices = [matrix(text) for text in texts]
        rows = tensor(np.concatenate(matrices).astype(np.float16))
        return rows.cpu(), [len(one) for one in matrices]

    def queryFromText(self, queries, bsize):
        return tensor(padded(queries)[0])


class Features(dict):
    """What a processor gives: a dictionary that can be moved."""

    def to(self, device):
        return self


class ColPali:
    device = "cuda:0"

    @classmethod
    def from_pretrained(cls, name, torch_dtype):
        return cls()

    def __call__(self, input_ids, attention_mask):
        return bfloat16(input_ids)


class ColPaliProcessor:
    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def process_queries(self, queries):
        rows, mask = padded(queries)
        return Features(input_ids=rows, attention_mask=tensor(mask))

    process_images = process_queries  # an image is its caption here


class SparseEmbedding:
    def __init__(self, text):
        self.indices, self.values = weights(text)


class FastSparse:
    def __init__(self, name):
        pass

    def embed(self, texts):
        if REAL.embedding is not None:
            made = (weights(text) for text in texts)
            return (REAL.embedding(values=values, indices=terms) for terms, values in made)
        return (SparseEmbedding(text) for text in texts)

    query_embed = embed


class FastLate(FastSparse):
    def embed(self, texts):
        return (one for one in padded(texts)[0])

    query_embed = embed


class Tokenizer:
    @classmethod
    def from_file(cls, name):
        return cls()

    def encode(self, text, add_special_tokens):
        tokens = text.split()
        return types.SimpleNamespace(ids=[term(token) for token in tokens], tokens=tokens)


def urlopen(request):
    """The server of TEI."""
    texts = json.loads(request.data)["inputs"]
    answer = [
        [{"index": int(t), "value": float(w)} for t, w in zip(*weights(text))] for text in texts
    ]
    return contextlib.closing(io.BytesIO(json.dumps(answer).encode()))


def imitate():
    if REAL.torch is None:
        module("torch", no_grad=contextlib.nullcontext, bfloat16="bfloat16")
    else:
        sys.modules["torch"] = REAL.torch
    module("sentence_transformers", SparseEncoder=SparseEncoder)
    module("pylate", models=types.SimpleNamespace(ColBERT=PyLate))
    module("colbert.infra", ColBERTConfig=dict)
    module("colbert.modeling.checkpoint", Checkpoint=Checkpoint)
    module("colpali_engine.models", ColPali=ColPali, ColPaliProcessor=ColPaliProcessor)
    module("fastembed", SparseTextEmbedding=FastSparse, LateInteractionTextEmbedding=FastLate)
    module("tokenizers", Tokenizer=Tokenizer)
    urllib.request.urlopen = urlopen


def splade(texts):
    dense = np.zeros((len(texts), VOCABULARY), np.float32)
    for at, text in enumerate(texts):
        terms, values = weights(text)
        dense[at, terms] = values
    return tensor(dense)


def imported(name):
    """A package where it is there, before its name is given to an imitation."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, ValueError) as error:
        print(f"{name}: passed over, {str(error).splitlines()[0]}")
        return None


def small_encoder(package):
    """A SparseEncoder of the package itself: a BERT of random weights over the words of the texts."""
    transformers = importlib.import_module("transformers")
    parts = importlib.import_module("sentence_transformers.sparse_encoder.modules")
    words = sorted({word for text in TEXTS + QUERIES for word in text.split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    config = transformers.BertConfig(vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1,
                                     num_attention_heads=2, intermediate_size=16)
    with tempfile.TemporaryDirectory() as place:
        with open(f"{place}/vocab.txt", "w", encoding="utf-8") as file:
            file.write("\n".join(vocabulary))
        transformers.BertForMaskedLM(config).save_pretrained(place)
        transformers.BertTokenizerFast(f"{place}/vocab.txt").save_pretrained(place)
        return package.SparseEncoder(modules=[parts.MLMTransformer(place), parts.SpladePooling()])


# --- the page -----------------------------------------------------------------------------------


def blocks():
    """The Python of each heading of the page."""
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    found = {}
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        heading = part.split("\n", 1)[0]
        code = re.findall(r"^```python\n(.*?)^```", part, flags=re.MULTILINE | re.DOTALL)
        if code:
            found[heading] = "\n".join(code)
    return found


def lateen(program, *args):
    done = subprocess.run([program, *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"lateen {' '.join(args)}: {done.stderr}")


def first_hits(run):
    with open(run, encoding="utf-8") as file:
        lines = [line.split() for line in file]
    return {query: document for query, _, document, rank, *_ in lines if rank == "1"}


MODES = {
    "sentence-transformers": ["sparse"],
    "SPLADE": ["sparse"],
    "Inference-free SPLADE": ["sparse"],
    "PyLate": ["tokens"],
    "ColBERT": ["tokens"],
    "ColPali": ["tokens"],
    "FastEmbed": ["sparse", "tokens", "rerank", "rrf"],
    "Text Embeddings Inference": ["sparse"],
}


def main():
    program = os.path.abspath(sys.argv[1])
    recipes = blocks()
    helpers = recipes.pop("The folder")
    if set(recipes) != set(MODES):
        sys.exit(f"the page has {sorted(recipes)}, this script knows {sorted(MODES)}")
    torch, fastembed = imported("torch"), imported("fastembed.sparse.sparse_embedding_base")
    encoder = imported("sentence_transformers") if torch else None
    made = small_encoder(encoder) if encoder else None
    imitate()
    for name, code in recipes.items():
        run(program, recipes, helpers, name, code)
    if torch is not None:
        REAL.torch = torch
        REAL.embedding = fastembed.SparseEmbedding if fastembed else None
        imitate()
        print(f"With tensors of PyTorch {torch.__version__}"
              f"{' and embeddings of FastEmbed' if fastembed else ''}:")
        for name, code in recipes.items():
            run(program, recipes, helpers, name, code)
    if made is not None:
        module("sentence_transformers", SparseEncoder=lambda name: made)
        print(f"With a SparseEncoder of sentence-transformers {encoder.__version__}:")
        name = "sentence-transformers"
        # A model that was never trained finds anything.
        run(program, recipes, helpers, name, recipes[name], judged=False)


def run(program, recipes, helpers, name, code, judged=True):
    """Runs a recipe, builds what it has written and searches it."""
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        scope = {"ids": IDS, "texts": TEXTS, "images": TEXTS}
        scope |= {"query_ids": QUERY_IDS, "queries": QUERIES, "splade": splade}
        exec(compile(helpers, "The folder", "exec"), scope)
        if name == "Inference-free SPLADE":
            # Its documents are those of the recipe above it.
            exec(compile(recipes["SPLADE"], "SPLADE", "exec"), scope)
            with open("idf.json", "w", encoding="utf-8") as file:
                json.dump({word: 2.5 for text in TEXTS for word in text.split()}, file)
        exec(compile(code, name, "exec"), scope)
        lateen(program, "build", "my.index", "--set", "folder")
        lateen(program, "verify", "my.index")
        for mode in MODES[name]:
            lateen(
                program,
                *("search", "my.index", "--set", "folder", "--mode", mode),
                *("--top", "10", "--run", "my.run"),
            )
            found = first_hits("my.run")
            expected = dict(zip(map(str, QUERY_IDS), IDS))
            if found.keys() != expected.keys() or judged and found != expected:
                sys.exit(f"{name}, {mode}: found {found}, expected {expected}")
        print(f"{name}: built, searched by {', '.join(MODES[name])}")
        os.chdir(HERE)


if __name__ == "__main__":
    main()
