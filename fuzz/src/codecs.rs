//! Round trips of every codec.

use lateen::{
    Centroids, Certainty, Document, Forward, IndexWriter, Normalization, Query, Schema,
    SparseCodec, SparseOptions, SparseVector, TokenCodec, TokenField, TokenMatrix, TokenOptions,
    TokenTier,
};

use super::choices::Choices;

const DIM: usize = 8;

/// Every codec of token rows, alone and with each tier that it can have.
const TOKENS: [(TokenCodec, TokenTier); 13] = {
    use TokenCodec::{F16, Int8, Product, Residual1, Residual2, Residual4};
    const NIBBLES: TokenCodec = Product { subspaces: 2, bits: 4 };
    const BYTES: TokenCodec = Product { subspaces: 4, bits: 8 };
    [
        (F16, TokenTier::None),
        (Int8, TokenTier::None),
        (Int8, TokenTier::F16),
        (Residual4, TokenTier::Int8),
        (Residual2, TokenTier::F16),
        (Residual1, TokenTier::Int8),
        (NIBBLES, TokenTier::F16),
        (BYTES, TokenTier::Int8),
        (Residual4, TokenTier::None),
        (Residual2, TokenTier::None),
        (Residual1, TokenTier::None),
        (NIBBLES, TokenTier::None),
        (BYTES, TokenTier::None),
    ]
};

/// Every way to keep a sparse vector.
const SPARSE: [(SparseCodec, Forward); 6] = [
    (SparseCodec::U8, Forward::Auto),
    (SparseCodec::U8, Forward::F32),
    (SparseCodec::U8, Forward::F16),
    (SparseCodec::U8, Forward::None),
    (SparseCodec::U4, Forward::F32),
    (SparseCodec::Pruned(50), Forward::F32),
];

/// What was read of the one document: its rows by token field, its vector by sparse field.
type Read = (Vec<Vec<f32>>, Vec<Vec<(u32, f32)>>);

/// The fields of a document with a codec each.
struct Fields {
    schema: Schema,
    tokens: Vec<TokenField>,
    sparse: Vec<lateen::SparseField>,
}

impl Fields {
    /// Some of the token codecs, all of the sparse ones.
    fn of(tokens: &[(TokenCodec, TokenTier)]) -> Self {
        let mut schema = Schema::builder();
        let tokens = tokens.iter().enumerate().map(|(at, &(codec, tier))| {
            let options = TokenOptions::new(DIM).codec(codec).tier(tier);
            let options = options.normalization(Normalization::AsIs).centroids(Centroids::Auto);
            schema.tokens(&format!("tokens {at}"), options)
        });
        let tokens = tokens.collect();
        let sparse = SPARSE.iter().enumerate().map(|(at, &(codec, forward))| {
            let options = SparseOptions::default().codec(codec).forward(forward);
            schema.sparse_with(&format!("sparse {at}"), options)
        });
        let sparse = sparse.collect();
        Self { tokens, sparse, schema: schema.build().expect("a valid schema") }
    }

    /// Stores a document of rows, and of a vector for each sparse field, and reads it; what a search
    /// says of it has to follow from what is read.
    fn store(&self, rows: &[f32], vectors: &[Vec<(u32, f32)>]) -> lateen::Result<Read> {
        let mut writer = IndexWriter::in_memory(self.schema.clone())?;
        let mut document = Document::new("a");
        for field in &self.tokens {
            document = document.tokens(field, TokenMatrix::new(rows, DIM))?;
        }
        for (field, pairs) in self.sparse.iter().zip(vectors) {
            document = document.sparse(field, SparseVector::pairs(pairs))?;
        }
        writer.add(&document)?;
        writer.commit_packed(|_| {})?;
        let index = writer.reader()?;
        index.verify().expect("what was written is sound");
        let stored = index.get("a")?.expect("it was added");
        let mut read = (Vec::new(), Vec::new());
        for field in &self.tokens {
            let own = stored.tokens(field)?.expect("it has rows");
            assert!(own.len() == rows.len() && own.iter().all(|x| x.is_finite()));
            // Asked with its own rows, it is found with the score that they have with themselves.
            if let Ok(query) = Query::tokens(field, TokenMatrix::new(&own, DIM)) {
                let hits = index.search(&query.exact())?;
                assert_eq!((hits.len(), hits.certainty()), (1, Certainty::Certified));
                let expected = maxsim(&own, &own);
                let near = (f64::from(hits[0].score()) - expected).abs();
                assert!(near <= 1e-4 * size(&own) + 1e-30, "{} {expected}", hits[0].score());
            }
            read.0.push(own);
        }
        for field in &self.sparse {
            read.1.push(stored.sparse(field)?.unwrap_or_default());
        }
        Ok(read)
    }
}

/// The sum over the rows of a query of the largest product with a row of a document.
fn maxsim(query: &[f32], document: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
    };
    let best = |row: &[f32]| {
        document.chunks(DIM).map(|other| dot(row, other)).fold(f64::NEG_INFINITY, f64::max)
    };
    query.chunks(DIM).map(best).sum()
}

/// The sum of all squares.
fn size(rows: &[f32]) -> f64 {
    rows.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}

/// Whatever the vectors are that a codec takes in, they come back as near as it promises, and come
/// back the same when they are stored again.
pub fn codecs(data: &[u8]) {
    let mut choices = Choices(data);
    // The first two are always there, and are what the others are held against.
    let more = 2 + choices.below(TOKENS.len() - 2);
    let chosen = [TOKENS[0], TOKENS[1], TOKENS[more]];
    let fields = Fields::of(&chosen);
    let rows: Vec<f32> = (0..DIM * (1 + choices.below(3))).map(|_| choices.f32()).collect();
    let pairs: Vec<(u32, f32)> =
        (0..choices.below(9)).map(|_| (choices.u32() % 100, choices.f32())).collect();
    let Ok((tokens, vectors)) = fields.store(&rows, &vec![pairs.clone(); SPARSE.len()]) else {
        return;
    };
    for (at, row) in rows.chunks(DIM).enumerate() {
        let largest = row.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        for (&(codec, tier), own) in chosen.iter().zip(&tokens) {
            let own = &own[at * DIM..][..DIM];
            let half = tier == TokenTier::F16 || codec == TokenCodec::F16;
            let byte = !half && (tier == TokenTier::Int8 || codec == TokenCodec::Int8);
            for (x, y) in row.iter().zip(own) {
                // A half has 11 bits and steps of 2⁻²⁴ at its smallest; a byte half a step of 127.
                let near = if half {
                    x.abs() / 2048.0 + 3e-8
                } else if byte {
                    largest / 127.0 * 0.51 + 4e-6
                } else {
                    // The few rows of one document are their own centroids, or near to them.
                    f32::INFINITY
                };
                assert!((x - y).abs() <= near, "{codec:?} {tier:?}: {x} {y} {largest}");
            }
        }
    }
    let mut expected: Vec<(u32, f32)> = pairs;
    expected.retain(|(_, weight)| *weight != 0.0);
    expected.sort_unstable_by_key(|(term, _)| *term);
    let terms = |vector: &[(u32, f32)]| vector.iter().map(|p| p.0).collect::<Vec<_>>();
    for ((codec, forward), vector) in SPARSE.iter().zip(&vectors) {
        match forward {
            // Whatever the inverted index keeps of it, forward rows keep every weight.
            Forward::Auto | Forward::F32 => assert!(*vector == expected, "{codec:?} {forward:?}"),
            // Every term, however light.
            Forward::F16 => assert_eq!(terms(vector), terms(&expected)),
            Forward::None => assert!(vector.is_empty()),
        }
    }
    // What was rounded once is not rounded again, and the same comes of the same.
    if let Ok(twice) = fields.store(&rows, &vectors) {
        assert!(twice == (tokens, vectors));
    }
    packed_rows_come_near(&mut choices);
}

/// How far packed rows of unit length may be from what they stand for: the mean of the squares, for
/// directions that are drawn evenly. Measured are .004, .06, .23, .19 and .0004 at most; codes that stand
/// for something else are far beyond.
const FAR: [(TokenCodec, f64); 5] = [
    (TokenCodec::Residual4, 0.01),
    (TokenCodec::Residual2, 0.12),
    (TokenCodec::Residual1, 0.4),
    (TokenCodec::Product { subspaces: 2, bits: 4 }, 0.3),
    (TokenCodec::Product { subspaces: 4, bits: 8 }, 0.005),
];

/// Rows of many documents, packed over a few centroids.
fn packed_rows_come_near(choices: &mut Choices<'_>) {
    let (codec, far) = FAR[choices.below(FAR.len())];
    let mut schema = Schema::builder();
    let options = TokenOptions::new(DIM).codec(codec).centroids(Centroids::Count(8));
    let field = schema.tokens("tokens", options.normalization(Normalization::Normalize));
    let schema = schema.build().expect("a valid schema");
    let mut writer = IndexWriter::in_memory(schema).expect("a new index");
    let mut drawn = choices.u32() | 1;
    let mut unit = || {
        // Marsaglia's xorshift, and twelve of its numbers for one that is nearly normal.
        let mut normal = || {
            let twelve = (0..12).map(|_| {
                drawn ^= drawn << 13;
                drawn ^= drawn >> 17;
                drawn ^= drawn << 5;
                (drawn >> 8) as f32 / (1 << 24) as f32 - 0.5
            });
            twelve.sum::<f32>()
        };
        let row: [f32; DIM] = std::array::from_fn(|_| normal());
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.map(|x| x / length)
    };
    let documents: Vec<[[f32; DIM]; 4]> =
        (0..64).map(|_| std::array::from_fn(|_| unit())).collect();
    for (at, rows) in documents.iter().enumerate() {
        let matrix = TokenMatrix::new(rows.as_flattened(), DIM);
        let document = Document::new(at.to_string()).tokens(&field, matrix).expect("unit rows");
        writer.add(&document).expect("room");
    }
    writer.commit_packed(|_| {}).expect("memory does not fail");
    let index = writer.reader().expect("what was written opens");
    let mut sum = 0.0;
    for (at, rows) in documents.iter().enumerate() {
        let stored = index.get(at.to_string()).expect("readable").expect("it was added");
        let own = stored.tokens(&field).expect("readable").expect("it has rows");
        let squares = rows.as_flattened().iter().zip(&own).map(|(x, y)| f64::from(x - y).powi(2));
        sum += squares.sum::<f64>();
    }
    let mean = sum / (documents.len() * 4) as f64;
    assert!(mean <= far, "{codec}: {mean}");
}
