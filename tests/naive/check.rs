//! An index held to the model: everything that can be asked of a commit.

use lateen::{Certainty, DocumentOrder, Forward, Hits, Index, Key, StoredDocument};

use super::Fields;
use super::given::{Ask, First};
use super::model::{Model, Stored};
use super::score::{Row, meet, shared};

/// What is read of the committed documents: number, keys, order, and each one's parts.
pub(crate) fn documents(index: &Index, model: &Model, fields: &Fields, known: &[Key]) {
    assert_eq!(index.len(), model.committed.len() as u64);
    assert_eq!(index.is_empty(), model.committed.is_empty());
    for key in known {
        let held = model.committed.get(key);
        assert_eq!(index.contains(key).unwrap(), held.is_some(), "{key}");
        let found = index.get(key).unwrap();
        assert_eq!(found.is_some(), held.is_some(), "{key}");
        if let (Some(found), Some(held)) = (found, held) {
            document(&found, key, held, fields);
        }
    }
}

/// That iteration gives the documents as they came, or in some order.
pub(crate) fn iteration(index: &Index, model: &Model, order: DocumentOrder) {
    let snapshot = index.snapshot();
    let keys = snapshot.documents().map(|document| document.unwrap().key().clone());
    let (mut found, mut all): (Vec<Key>, _) = (keys.collect(), model.in_order());
    if order != DocumentOrder::Given {
        found.sort();
        all.sort();
    }
    assert_eq!(found.iter().collect::<Vec<_>>(), all, "iteration");
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn document(found: &StoredDocument, key: &Key, held: &Stored, fields: &Fields) {
    assert_eq!(found.key(), key);
    let given = &held.given;
    assert_eq!(found.payload().unwrap(), given.payload, "{key}: payload");
    let mut lang = given.lang.clone();
    lang.sort();
    lang.dedup();
    assert_eq!(found.keywords(&fields.lang).unwrap(), lang, "{key}");
    assert_eq!(found.i64(&fields.year).unwrap(), given.year, "{key}");
    assert_eq!(found.u64(&fields.size).unwrap(), given.size, "{key}");
    let price = found.f64(&fields.price).unwrap();
    assert_eq!(price.map(f64::to_bits), given.price.map(f64::to_bits), "{key}");
    assert_eq!(found.bool(&fields.open).unwrap(), given.open, "{key}");
    for (field, terms) in fields.sparse.iter().zip(&held.sparse) {
        let stored = found.sparse(&field.field).unwrap();
        let want = if field.forward == Forward::None { None } else { terms.clone() };
        let exact = |terms: Option<Vec<(u32, f32)>>| {
            terms.map(|terms| terms.iter().map(|&(t, w)| (t, w.to_bits())).collect::<Vec<_>>())
        };
        assert_eq!(exact(stored), exact(want), "{key}: {:?}", field.forward);
    }
    for (field, rows) in fields.tokens.iter().zip(&held.tokens) {
        let stored = found.tokens(&field.field).unwrap();
        let want = rows.as_ref().map(|rows| rows.iter().flat_map(Row::decode).collect());
        let want: Option<Vec<f32>> = want;
        assert_eq!(stored.as_deref().map(bits), want.as_deref().map(bits), "{key}: {field:?}");
    }
}

/// Whether a query's first stage looks at quantised weights only.
fn on_quantised(ask: &Ask, fields: &Fields) -> bool {
    matches!(&ask.first, First::Sparse(at, _) if fields.sparse[*at].forward == Forward::None)
}

/// An answer: the same keys in the same order with the same bits of scores, and proven.
pub(crate) fn answer(index: &Index, model: &Model, fields: &Fields, ask: &Ask, at: &str) {
    let query = ask.query(fields).unwrap();
    let hits = index.search(&query).unwrap();
    let want = model.answer(ask);
    same(&hits, &want, ask, at);
    if on_quantised(ask, fields) {
        assert_ne!(hits.certainty(), Certainty::Approximate, "{at}: {ask:?}");
        let looked = ask.test.is_none() && !want.is_empty();
        assert!(!looked || hits.certainty() == Certainty::ExactOnQuantised, "{at}: {ask:?}");
    } else {
        assert!(hits.certified(), "{at}: {ask:?}");
    }
    for hit in hits.iter().take(2) {
        explained(index, model, fields, ask, hit, at);
    }
}

/// Holds hits to what was expected.
pub(crate) fn same(hits: &Hits, want: &[(Key, f32)], ask: &Ask, at: &str) {
    let got: Vec<(&Key, u32)> = hits.iter().map(|hit| (hit.key(), hit.score().to_bits())).collect();
    let wanted: Vec<(&Key, u32)> = want.iter().map(|(key, score)| (key, score.to_bits())).collect();
    if got != wanted {
        let place = got.iter().zip(&wanted).position(|(a, b)| a != b);
        let place = place.unwrap_or(got.len().min(wanted.len()));
        let score = |entry: Option<&(&Key, u32)>| {
            entry.map(|(key, score)| (key.to_string(), f32::from_bits(*score)))
        };
        panic!(
            "{at}: at {place} {:?} instead of {:?} ({} hits instead of {})\n{ask:?}",
            score(got.get(place)),
            score(wanted.get(place)),
            got.len(),
            wanted.len(),
        );
    }
}

/// A hit's explanation: shared terms with both weights, and what each query row met.
fn explained(
    index: &Index,
    model: &Model,
    fields: &Fields,
    ask: &Ask,
    hit: &lateen::Hit,
    at: &str,
) {
    let held = &model.committed[hit.key()];
    let told = index.explain(&ask.query(fields).unwrap(), hit).unwrap();
    let terms: Vec<_> = told
        .terms
        .iter()
        .map(|part| (part.term, part.query_weight, part.document_weight))
        .collect();
    let tokens: Vec<_> = told
        .tokens
        .iter()
        .map(|part| (part.query_row, part.document_row, part.score.to_bits(), part.span))
        .collect();
    let want_terms = match &ask.first {
        First::Sparse(at, _) => {
            shared(&ask.terms(), held.sparse[*at].as_deref().unwrap_or_default())
        }
        First::Tokens(..) => Vec::new(),
    };
    let rows = match (&ask.rerank, &ask.first) {
        (Some((at, rows, _)), _) | (None, First::Tokens(at, rows)) => Some((*at, rows)),
        (None, First::Sparse(..)) => None,
    };
    let mut want_tokens = Vec::new();
    if let Some((at, rows)) = rows
        && let Some(stored) = &held.tokens[at]
    {
        let spans = held.given.spans[at].as_ref();
        let met = meet(&model.query_rows(at, rows), stored).into_iter().enumerate();
        want_tokens = met
            .map(|(row, (to, score))| (row, to, score.to_bits(), spans.map(|spans| spans[to])))
            .collect();
    }
    assert_eq!(terms, want_terms, "{at}: terms of {} for {ask:?}", hit.key());
    assert_eq!(tokens, want_tokens, "{at}: tokens of {} for {ask:?}", hit.key());
}
