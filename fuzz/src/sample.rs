//! Small indexes with every kind of part, made by the same calls each time.

use lateen::{
    Centroids, Collapse, Diversify, Document, Feedback, Forward, Index, IndexWriter, KeyKind,
    Merges, ModelFingerprint, Normalization, Query, Schema, SparseCodec, SparseOptions,
    SparseVector, StoredDocument, TokenCodec, TokenMatrix, TokenOptions, TokenTier, Vocabulary,
    WriterOptions,
};

use super::mend;

/// Components of its token rows.
pub const DIM: usize = 8;

/// Its sparse fields.
pub const SPARSE: [&str; 5] = ["sparse", "sparse f32", "sparse bare", "sparse u4", "sparse pruned"];

/// One field of every kind and setting.
pub fn schema() -> Schema {
    let mut schema = Schema::builder();
    schema.sparse("sparse");
    schema.sparse_with("sparse f32", SparseOptions::default().forward(Forward::F32));
    schema.sparse_with("sparse bare", SparseOptions::default().forward(Forward::None));
    schema.sparse_with("sparse u4", SparseOptions::default().codec(SparseCodec::U4));
    schema.sparse_with("sparse pruned", SparseOptions::default().codec(SparseCodec::Pruned(60)));
    schema.tokens("half", TokenOptions::new(DIM).codec(TokenCodec::F16));
    let as_is = Normalization::AsIs;
    schema.tokens("bytes", TokenOptions::new(DIM).codec(TokenCodec::Int8).normalization(as_is));
    schema.keyword("lang");
    schema.i64("year");
    schema.u64("size");
    schema.f64("price");
    schema.bool("open");
    schema.build().expect("a valid schema")
}

/// A unit row that differs with `seed`.
pub fn row(seed: u32) -> [f32; DIM] {
    let mut row = [0.1f32; DIM];
    row[seed as usize % DIM] = 1.0 + (seed % 29) as f32 / 16.0;
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.map(|x| x / length)
}

/// The terms of document `i`: a frequent one, a rarer one, one of its own; weights that f16 holds
/// and, in every fifth, one that it does not.
pub fn terms(i: u32) -> Vec<(u32, f32)> {
    let odd = if i.is_multiple_of(5) { 0.1 } else { 0.25 };
    vec![(7, 0.5 + (i % 4) as f32), (100 + i % 3, odd), (70_000 + i, 2.0)]
}

/// Adds, or replaces, document `i`. Some lack fields, some have several values.
pub fn put(writer: &mut IndexWriter, i: u32) -> lateen::Result<()> {
    let schema = writer.schema().clone();
    let (terms, rows) = (terms(i), [row(i), row(i + 3)].concat());
    let matrix = TokenMatrix::new(&rows, DIM);
    let mut document = Document::new(format!("doc-{i:02}"));
    for name in SPARSE {
        document = document.sparse(&schema.sparse(name)?, &terms)?;
    }
    if !i.is_multiple_of(7) {
        document = document.tokens(&schema.tokens("half")?, matrix.spans(&[(0, 3), (4, 9)]))?;
    }
    document = document.tokens(&schema.tokens("bytes")?, matrix)?;
    let lang = schema.keyword("lang")?;
    document = document.keyword(&lang, if i.is_multiple_of(2) { "en" } else { "fr" })?;
    if i.is_multiple_of(3) {
        document = document.keyword(&lang, "ké")?;
    }
    if !i.is_multiple_of(4) {
        document = document.i64(&schema.i64("year")?, 1990 - i64::from(i))?;
    }
    let document = document
        .u64(&schema.u64("size")?, u64::from(i) << 40)?
        .f64(&schema.f64("price")?, f64::from(i) / 8.0)?
        .bool(&schema.bool("open")?, i.is_multiple_of(2))?;
    let payload = format!("payload of document {i}, ").repeat(1 + i as usize % 5);
    let document =
        if i.is_multiple_of(6) { document } else { document.payload(payload.into_bytes()) };
    writer.upsert(&document).map(drop)
}

/// How it is written: with the same files each time.
pub fn options() -> WriterOptions {
    IndexWriter::options().merges(Merges::Manual)
}

/// The first commit of the sample.
pub fn plain(writer: &mut IndexWriter) -> lateen::Result<()> {
    (0..12).try_for_each(|i| put(writer, i))?;
    writer.commit().map(drop)
}

/// What comes after it: a second segment, deletions in both, a replacement.
pub fn deletes(writer: &mut IndexWriter) -> lateen::Result<()> {
    (12..20).try_for_each(|i| put(writer, i))?;
    writer.commit()?;
    for i in [1, 4, 13] {
        writer.delete(format!("doc-{i:02}"))?;
    }
    put(writer, 5)?;
    writer.commit().map(drop)
}

/// The sample with all its changes, as one packed file.
pub fn packed() -> Vec<u8> {
    pack(schema(), |writer| {
        plain(writer)?;
        deletes(writer)
    })
}

/// Documents of the rich index.
const RICH: u32 = 400;

/// The fields of an index of what the sample lacks: number keys, dense terms of eight and of four
/// bits, packed rows and rows that wait to be packed, second tiers, lists of centroids with their
/// curve, and a vocabulary.
pub fn rich_schema() -> Schema {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let model = || ModelFingerprint::new("a model", 100_000, "none");
    schema.sparse_with("wide", SparseOptions::default().model(model()));
    let narrow = SparseOptions::default().codec(SparseCodec::U4).forward(Forward::F16);
    schema.sparse_with("narrow", narrow);
    let options = || TokenOptions::new(2 * DIM).normalization(Normalization::Normalize);
    schema.tokens("lists", options().centroids(Centroids::Count(12)));
    schema.tokens("tiers", options().codec(TokenCodec::Residual2).tier(TokenTier::Int8));
    schema.tokens("parts", options().codec(TokenCodec::Product { subspaces: 4, bits: 4 }));
    schema.tokens("bytes", options().codec(TokenCodec::Product { subspaces: 2, bits: 8 }));
    schema.tokens("nibbles", options().codec(TokenCodec::Residual4).tier(TokenTier::F16));
    schema.tokens("signs", options().codec(TokenCodec::Residual1));
    schema.tokens("plain", TokenOptions::new(DIM).centroids(Centroids::None));
    schema.keyword("lang");
    schema.i64("year");
    schema.build().expect("a valid schema")
}

/// Its two commits: rows of the first are packed, those of the second wait for it.
pub fn rich(writer: &mut IndexWriter) -> lateen::Result<()> {
    let schema = writer.schema().clone();
    let (wide, narrow) = (schema.sparse("wide")?, schema.sparse("narrow")?);
    let tokens = ["lists", "tiers", "parts", "bytes", "nibbles", "signs"]
        .map(|name| schema.tokens(name).expect("one of them"));
    let (lang, year, plain) =
        (schema.keyword("lang")?, schema.i64("year")?, schema.tokens("plain")?);
    // Knuth's multiplicative hash: numbers that look random, the same everywhere.
    let mut drawn = 0u32;
    let mut below = |limit: u32| {
        drawn = drawn.wrapping_add(1);
        (drawn.wrapping_mul(0x9E37_79B1) >> 8) % limit
    };
    for i in 0..RICH {
        // In all documents, in a seventh, and in this one alone.
        let terms = [7, 100 + i % 7, 70_000 + i];
        let weights = terms.map(|_| 0.25 + below(512) as f32 / 64.0);
        let rows: Vec<f32> = (0..6 * DIM).map(|_| below(201) as f32 / 100.0 - 1.0).collect();
        let vector = || SparseVector::new(&terms[..], &weights[..]);
        let mut document = Document::new(u64::from(i)).sparse(&wide, vector())?;
        document = document.sparse(&narrow, vector())?;
        for field in &tokens {
            document = document.tokens(field, TokenMatrix::new(&rows[..], 2 * DIM))?;
        }
        // Few rows, of a text that is longer than two bytes count.
        let (own, spans) = (row(i), [(i * 1000, i * 1000 + 7)]);
        document = document.tokens(&plain, TokenMatrix::new(&own, DIM).spans(&spans))?;
        document = document.keyword(&lang, if i.is_multiple_of(3) { "en" } else { "fr" })?;
        document = document.keyword(&lang, format!("{}", i % 40))?;
        // Three blocks of payloads, of which little is left when they are compressed.
        document = document.payload(format!("{i} ").repeat(30).into_bytes());
        writer.add(&document.i64(&year, 1900 + i64::from(i))?)?;
        if i == RICH - 21 {
            writer.commit_packed(|_| {})?;
        }
    }
    let words = [("oil", 7, 0.5), ("fat", 101, 2.0), ("wax", 70_003, 1.25)];
    writer.set_vocabulary(&wide, &Vocabulary::weighted(words)?)?;
    writer.set_vocabulary(&narrow, &Vocabulary::new([("oil", 7), ("soap", 102)])?)?;
    // Neighbours, which a bitmap could keep as a run.
    for key in 100..140u64 {
        writer.delete(key)?;
    }
    writer.commit().map(drop)
}

/// The rich index as one packed file, with a recall curve of its sparse fields: what a segment has
/// from 32,768 documents on, which are more than a sample may have.
pub fn rich_packed() -> Vec<u8> {
    with_curves(&pack(rich_schema(), rich))
}

/// The steps of that curve: how much is left out, in what, and how far; and what is found. The usual
/// effort takes the second, and more than that the third.
const CURVE: [(f32, u32, f32, f32); 3] =
    [(0.4, 160, 0.5, 0.75), (0.2, 216, 0.25, 0.985), (0.02, 250, 0.0625, 0.999)];

/// A packed index with a section `SPARSE_CURVE` for each sparse field of each segment, behind the
/// field's other sections.
fn with_curves(packed: &[u8]) -> Vec<u8> {
    const SPARSE: std::ops::Range<u32> = 64..83;
    let point = |(mass, alpha, band, recall): (f32, u32, f32, f32)| {
        let words = [mass.to_bits(), alpha, band.to_bits(), recall.to_bits()];
        words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>()
    };
    let points: Vec<u8> = CURVE.into_iter().flat_map(point).collect();
    let mut files = mend::parts(packed);
    // The first section has the names.
    for (file, (name, _)) in files[1..].iter_mut().zip(mend::files(packed)) {
        if !name.starts_with("seg-") {
            continue;
        }
        let sections = mend::parts(&file.data);
        let mut with = Vec::with_capacity(sections.len() + 2);
        for (at, part) in sections.iter().enumerate() {
            with.push(part.clone());
            let last = !sections[at + 1..].iter().any(|next| next.field == part.field);
            if SPARSE.contains(&part.kind) && last {
                let (kind, data) = (SPARSE.end, points.clone());
                with.push(mend::Part { kind, flags: 0, elem_size: 16, data, ..part.clone() });
            }
        }
        file.data = mend::container(&file.data, &with);
    }
    let mut bytes = mend::container(packed, &files);
    mend::reseal_index(&mut bytes);
    bytes
}

/// An index of three documents with a part of each kind, so that nearly every byte matters.
pub fn tiny() -> Vec<u8> {
    let mut schema = Schema::builder();
    schema.sparse("sparse");
    schema.tokens("bytes", TokenOptions::new(DIM).codec(TokenCodec::Int8));
    schema.keyword("lang");
    pack(schema.build().expect("a valid schema"), |writer| {
        let schema = writer.schema().clone();
        for i in 0..3u32 {
            let (terms, row) = (terms(i), row(i));
            let document = Document::new(format!("doc-{i:02}"))
                .sparse(&schema.sparse("sparse")?, &terms)?
                .tokens(&schema.tokens("bytes")?, TokenMatrix::new(&row, DIM))?
                .keyword(&schema.keyword("lang")?, "en")?
                .payload(b"text".to_vec());
            writer.upsert(&document)?;
        }
        writer.delete("doc-01")?;
        writer.commit().map(drop)
    })
}

/// An index of what `fill` writes, as one packed file.
fn pack(schema: Schema, fill: impl Fn(&mut IndexWriter) -> lateen::Result<()>) -> Vec<u8> {
    let make = || {
        let mut writer = options().in_memory(schema)?;
        fill(&mut writer)?;
        let name = format!("lateen-sample-{}-{:p}", std::process::id(), &raw const writer);
        let path = std::env::temp_dir().join(name);
        writer.reader()?.pack(&path)?;
        let bytes = std::fs::read(&path);
        let _ = std::fs::remove_file(&path);
        Ok::<_, lateen::Error>(bytes)
    };
    make().expect("the sample is valid").expect("readable")
}

/// Every way to search an index whose fields have any names.
pub fn queries(schema: &Schema) -> Vec<Query> {
    let fields: Vec<(String, &str)> =
        schema.field_names().map(|(name, kind)| (name.to_owned(), kind)).collect();
    let mut queries = Vec::new();
    let mut filters = Vec::new();
    for (name, kind) in &fields {
        filters.extend(match *kind {
            "keyword" => schema.keyword(name).ok().map(|field| field.any_of(["en", "ké"])),
            "i64" => schema.i64(name).ok().map(|field| field.range(1980..)),
            "u64" => schema.u64(name).ok().map(|field| field.range(1 << 40..9 << 40)),
            "f64" => schema.f64(name).ok().map(|field| !field.range(..0.5)),
            "bool" => schema.bool(name).ok().map(|field| field.eq(true)),
            _ => None,
        });
    }
    for (name, kind) in &fields {
        let query = match *kind {
            "sparse" => schema.sparse(name).map_err(Into::into).and_then(|field| {
                Query::sparse(&field, &[(7u32, 1.0f32), (101, 0.5), (70_003, 2.0)])
            }),
            "tokens" => schema.tokens(name).map_err(Into::into).and_then(|field| {
                let rows = vec![(1.0 / field.dim() as f32).sqrt(); 2 * field.dim()];
                Query::tokens(&field, TokenMatrix::new(&rows, field.dim()))
            }),
            _ => continue,
        };
        let Ok(query) = query else { continue };
        queries.push(query.clone());
        queries.push(query.clone().exact().top(100));
        queries.push(query.clone().feedback(Feedback::default()));
        queries.extend(filters.iter().map(|filter| query.clone().filter(filter.clone())));
        queries.extend(schema.keyword("lang").ok().map(|field| {
            query.clone().collapse(Collapse::keyword(&field).inside(3)).sort(field.ascending())
        }));
        for (second, _) in fields.iter().filter(|(_, kind)| *kind == "tokens") {
            if let Ok(field) = schema.tokens(second) {
                queries.push(query.clone().diversify(Diversify::new(&field, 0.5)));
                let row = vec![(1.0 / field.dim() as f32).sqrt(); field.dim()];
                let rows = TokenMatrix::new(&row, field.dim());
                queries.extend(query.clone().rerank(&field, rows));
            }
        }
    }
    queries
}

/// Searches in every way and reads everything there is; errors are answers too. Gives how many
/// hits and documents could be read.
pub fn use_all(index: &Index) -> usize {
    use_some(index, 0, usize::MAX)
}

/// The same with some of the searches only: so many, neighbours of the one that a number chooses.
pub fn use_some(index: &Index, chosen: usize, searches: usize) -> usize {
    let schema = index.schema();
    let mut found = 0;
    let queries = queries(&schema);
    let first = chosen % queries.len().max(1);
    for query in queries.iter().cycle().skip(first).take(searches.min(queries.len())) {
        let Ok(hits) = index.search(query) else { continue };
        for hit in &hits {
            found += 1;
            let _ = hit.payload();
            let _ = index.explain(query, hit).map(|told| told.highlights());
        }
    }
    let _ = index.get("doc-05").map(|one| one.is_some());
    let _ = index.get(7u64).map(|one| one.is_some());
    let fields: Vec<(String, &str)> =
        schema.field_names().map(|(name, kind)| (name.to_owned(), kind)).collect();
    for (name, _) in fields.iter().filter(|(_, kind)| *kind == "sparse") {
        let Ok(field) = schema.sparse(name) else { continue };
        let Ok(Some(words)) = index.vocabulary(&field) else { continue };
        let mut vector = Vec::new();
        words.query(["oil", "wax", "salt"], &mut vector);
        found += words.iter().count().min(vector.len());
    }
    for (name, _) in fields.iter().filter(|(_, kind)| *kind == "keyword") {
        let Ok(field) = schema.keyword(name) else { continue };
        let facets = index.facets(None, &field, 8).map_or(0, |facets| facets.len());
        found += facets.min(1);
    }
    let widened = queries.get(first).map(|query| query.clone().feedback(Feedback::default()));
    let _ = widened.map(|query| index.expansion(&query));
    let _ = (index.info().bytes(), index.snapshot().warm());
    for document in index.snapshot().documents().take(64).flatten() {
        found += 1;
        read(&schema, &document);
    }
    found
}

/// Reads everything that there is of a document.
pub fn read(schema: &Schema, document: &StoredDocument) {
    let _ = document.payload();
    for (name, kind) in schema.field_names() {
        match kind {
            "sparse" => drop(schema.sparse(name).map(|field| document.sparse(&field))),
            "tokens" => drop(schema.tokens(name).map(|field| {
                drop(document.spans(&field));
                document.tokens(&field)
            })),
            "keyword" => drop(schema.keyword(name).map(|field| document.keywords(&field))),
            "i64" => drop(schema.i64(name).map(|field| document.i64(&field))),
            "u64" => drop(schema.u64(name).map(|field| document.u64(&field))),
            "f64" => drop(schema.f64(name).map(|field| document.f64(&field))),
            "bool" => drop(schema.bool(name).map(|field| document.bool(&field))),
            _ => {}
        }
    }
}
