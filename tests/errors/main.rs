//! Every error of the typed API, with its place; and that nothing of what was refused is taken in.

mod input;
mod life;
mod queries;
mod schemas;
mod tokens;
mod vectors;

use lateen::{
    Document, Error, Fault, InputError, KeyKind, KeywordField, Normalization, Schema, SparseField,
    TokenCodec, TokenField, TokenOptions,
};

/// Row and position of a fault.
type Place = (Option<u64>, Option<u64>);

/// Holds a result to be the refusal of an input: this field, place and fault, and a message that
/// names them. NaN is compared as it prints.
#[track_caller]
fn refused<T>(result: Result<T, Error>, field: &str, place: Place, what: Fault) {
    let Err(Error::Input(found)) = result else {
        panic!("expected {what:?}, found {:?}", result.err());
    };
    let want = InputError { field: field.to_owned(), row: place.0, position: place.1, what };
    assert_eq!(format!("{found:?}"), format!("{want:?}"));
    let message = Error::Input(found).to_string();
    assert!(message.starts_with(field), "{message}");
    for (name, number) in [("row", place.0), ("position", place.1)] {
        if let Some(number) = number {
            assert!(message.contains(&format!("{name} {number}")), "{message}");
        }
    }
    assert!(message.ends_with(&want.what.to_string()), "{message}");
}

/// One field of each kind that faults are told apart by.
struct Fields {
    schema: Schema,
    sparse: SparseField,
    /// Of 8 components: length 1, as they are in f16, normalised.
    checked: TokenField,
    as_is: TokenField,
    normal: TokenField,
    lang: KeywordField,
    year: lateen::I64Field,
    size: lateen::U64Field,
    price: lateen::F64Field,
    open: lateen::BoolField,
}

fn fields(keys: KeyKind) -> Fields {
    let mut schema = Schema::builder();
    schema.keys(keys);
    let sparse = schema.sparse("splade");
    let checked = schema.tokens("checked", 8);
    let as_is = TokenOptions::new(8).codec(TokenCodec::F16).normalization(Normalization::AsIs);
    let as_is = schema.tokens("as is", as_is);
    let normal = TokenOptions::new(8).normalization(Normalization::Normalize);
    let normal = schema.tokens("normal", normal);
    let (lang, year) = (schema.keyword("lang"), schema.i64("year"));
    let (size, price, open) = (schema.u64("size"), schema.f64("price"), schema.bool("open"));
    let schema = schema.build().unwrap();
    Fields { schema, sparse, checked, as_is, normal, lang, year, size, price, open }
}

/// Rows of length 1.
fn rows(count: usize) -> Vec<f32> {
    [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0].repeat(count)
}

/// A document that nothing is wrong with.
fn good<'a>(key: &str, fields: &Fields) -> Document<'a> {
    Document::new(key).sparse(&fields.sparse, &[(7u32, 1.0f32)]).unwrap()
}

/// A count that does not agree.
fn counts(what: &'static str, found: u64, expected: u64) -> Fault {
    Fault::Counts { what, found, expected }
}
