//! Filters as text, for commands and configuration.
//!
//! ```text
//! any   := all ("or" all)*
//! all   := one ("and" one)*
//! one   := "not" one | "(" any ")" | "exists" "(" name ")" | name test
//! test  := ("=" | "!=" | "<" | "<=" | ">" | ">=") value | "in" "(" value ("," value)* ")"
//! name  := letters, digits, "_", "-", "."; anything between backquotes
//! value := a name, a number, or a text between double quotes with \" and \\
//! ```

use std::ops::Bound;
use std::str::FromStr;

use crate::error::{Fault, InputError};
use crate::id::Key;
use crate::schema::{KeyKind, Schema};
use crate::search::Filter;

/// How deep parentheses and negations may be nested.
const DEEPEST: usize = 64;

impl Filter {
    /// Reads a filter from text: `lang in (en, fr) and year >= 1990 and not exists(withdrawn)`.
    /// Comparisons are `=`, `!=`, `<`, `<=`, `>`, `>=` and `in (…)`; names that are not plain
    /// words stand between backquotes, texts between double quotes; `key` is the document's key
    /// where no attribute has this name. As in [`Filter`] itself, a document without a value
    /// passes no comparison but `!=`.
    ///
    /// ```
    /// # use lateen::{Filter, Schema};
    /// # let mut schema = Schema::builder();
    /// # schema.sparse("s");
    /// schema.i64("year");
    /// # let schema = schema.build()?;
    /// let filter = Filter::parse(&schema, "year >= 1990 and year < 2000")?;
    /// let error = Filter::parse(&schema, "year >= soon").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "filter: line 1, column 9: \"soon\" is no value of the attribute \"year\", which is i64"
    /// );
    /// # Ok::<(), lateen::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) with the column: what cannot be read; an attribute
    /// that the schema does not have; a value that is not of its type.
    pub fn parse(schema: &Schema, text: &str) -> crate::Result<Self> {
        let mut parser = Parser { schema, text, at: 0, depth: 0 };
        let filter = parser.any()?;
        match parser.next()? {
            (_, Token::End) => Ok(filter),
            (at, token) => {
                Err(fault(at, format!("{} where the filter ends", token.shown())).into())
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// Between backquotes: a name only.
    Name(String),
    /// Between double quotes: a value only.
    Text(String),
    Sign(&'static str),
    End,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Name(text) | Self::Text(text) => format!("{text:?}"),
            Self::Sign(sign) => format!("\"{sign}\""),
            Self::End => "the end".to_owned(),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text.eq_ignore_ascii_case(word))
    }
}

struct Parser<'a> {
    schema: &'a Schema,
    text: &'a str,
    at: usize,
    depth: usize,
}

/// What stands at a byte is wrong.
fn fault(at: usize, what: String) -> InputError {
    InputError::new("filter", Fault::Syntax { line: 1, column: at as u64 + 1, what })
}

const SIGNS: [&str; 9] = ["!=", "<=", ">=", "=", "<", ">", "(", ")", ","];

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '#' | '/' | ':')
}

impl Parser<'_> {
    fn next(&mut self) -> Result<(usize, Token), InputError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        let start = self.at + rest.len() - trimmed.len();
        let Some(first) = trimmed.chars().next() else { return Ok((start, Token::End)) };
        if let Some(&sign) = SIGNS.iter().find(|sign| trimmed.starts_with(**sign)) {
            self.at = start + sign.len();
            return Ok((start, Token::Sign(sign)));
        }
        if first == '"' || first == '`' {
            let mut text = String::new();
            let mut escaped = false;
            for (at, c) in trimmed.char_indices().skip(1) {
                match c {
                    _ if escaped => {
                        text.push(c);
                        escaped = false;
                    }
                    '\\' if first == '"' => escaped = true,
                    _ if c == first => {
                        self.at = start + at + 1;
                        let token = if c == '"' { Token::Text(text) } else { Token::Name(text) };
                        return Ok((start, token));
                    }
                    _ => text.push(c),
                }
            }
            return Err(fault(start, format!("no {first} closes this one")));
        }
        let len = trimmed.find(|c| !in_word(c)).unwrap_or(trimmed.len());
        if len == 0 {
            return Err(fault(start, format!("{:?} means nothing here", first.to_string())));
        }
        self.at = start + len;
        Ok((start, Token::Word(trimmed.get(..len).unwrap_or_default().to_owned())))
    }

    /// Takes the next token where it is this word.
    fn takes(&mut self, word: &str) -> Result<bool, InputError> {
        let before = self.at;
        let taken = self.next()?.1.is_word(word);
        if !taken {
            self.at = before;
        }
        Ok(taken)
    }

    fn sign(&mut self, wanted: &'static str) -> Result<(), InputError> {
        match self.next()? {
            (_, Token::Sign(sign)) if sign == wanted => Ok(()),
            (at, token) => Err(fault(at, format!("{} instead of \"{wanted}\"", token.shown()))),
        }
    }

    fn any(&mut self) -> Result<Filter, InputError> {
        let mut filters = vec![self.all()?];
        while self.takes("or")? {
            filters.push(self.all()?);
        }
        Ok(joined(filters, Filter::any))
    }

    fn all(&mut self) -> Result<Filter, InputError> {
        let mut filters = vec![self.one()?];
        while self.takes("and")? {
            filters.push(self.one()?);
        }
        Ok(joined(filters, Filter::all))
    }

    fn one(&mut self) -> Result<Filter, InputError> {
        let (at, token) = self.next()?;
        if self.depth >= DEEPEST {
            return Err(fault(at, format!("nested more than {DEEPEST} deep")));
        }
        self.depth += 1;
        let filter = match token {
            Token::Sign("(") => {
                let filter = self.any()?;
                self.sign(")")?;
                filter
            }
            token if token.is_word("not") => !self.one()?,
            token if token.is_word("exists") => {
                self.sign("(")?;
                let (at, token) = self.next()?;
                let Some(name) = name(&token) else {
                    return Err(fault(at, format!("{} instead of a name", token.shown())));
                };
                let filter = self.exists(at, name)?;
                self.sign(")")?;
                filter
            }
            token => {
                let Some(name) = name(&token) else {
                    return Err(fault(at, format!("{} instead of a test", token.shown())));
                };
                self.test(at, name)?
            }
        };
        self.depth -= 1;
        Ok(filter)
    }

    /// The kind of an attribute in words; `"key"` for the key.
    fn kind(&self, at: usize, name: &str) -> Result<&'static str, InputError> {
        match self.schema.field_names().find(|(own, _)| *own == name) {
            Some((_, kind @ ("sparse" | "tokens"))) => {
                let what = format!("the field {name:?} is {kind}, and no attribute");
                Err(fault(at, what))
            }
            Some((_, kind)) => Ok(kind),
            None if name == "key" => Ok("key"),
            None => {
                let attributes: Vec<String> = self
                    .schema
                    .field_names()
                    .filter(|(_, kind)| !matches!(*kind, "sparse" | "tokens"))
                    .map(|(name, kind)| format!("{name:?} ({kind})"))
                    .collect();
                let there = match attributes.len() {
                    0 => "there are none".to_owned(),
                    _ => format!("there are {}", attributes.join(", ")),
                };
                Err(fault(at, format!("no attribute is named {name:?}: {there}")))
            }
        }
    }

    fn exists(&self, at: usize, name: &str) -> Result<Filter, InputError> {
        let kind = self.kind(at, name)?;
        let lost = |_| fault(at, format!("no attribute is named {name:?}"));
        Ok(match kind {
            "keyword" => self.schema.keyword(name).map_err(lost)?.exists(),
            "i64" => self.schema.i64(name).map_err(lost)?.exists(),
            "u64" => self.schema.u64(name).map_err(lost)?.exists(),
            "f64" => self.schema.f64(name).map_err(lost)?.exists(),
            "bool" => self.schema.bool(name).map_err(lost)?.exists(),
            _ => Filter::all([]),
        })
    }

    fn test(&mut self, at: usize, name: &str) -> Result<Filter, InputError> {
        let kind = self.kind(at, name)?;
        let (op_at, op) = self.next()?;
        let mut values = Vec::new();
        let sign = match &op {
            Token::Sign(sign @ ("=" | "!=" | "<" | "<=" | ">" | ">=")) => {
                values.push(self.value()?);
                *sign
            }
            token if token.is_word("in") => {
                self.sign("(")?;
                loop {
                    values.push(self.value()?);
                    match self.next()? {
                        (_, Token::Sign(",")) => {}
                        (_, Token::Sign(")")) => break,
                        (at, token) => {
                            let what = format!("{} instead of \",\" or \")\"", token.shown());
                            return Err(fault(at, what));
                        }
                    }
                }
                "in"
            }
            token => {
                let what = format!("{} instead of a comparison with {name:?}", token.shown());
                return Err(fault(op_at, what));
            }
        };
        let ordered = matches!(sign, "<" | "<=" | ">" | ">=");
        if ordered && matches!(kind, "keyword" | "bool" | "key") {
            let what = format!("{name:?} is {kind}, which \"{sign}\" cannot be asked of");
            return Err(fault(op_at, what));
        }
        let lost = |_| fault(at, format!("no attribute is named {name:?}"));
        let schema = self.schema;
        let filter = match kind {
            "keyword" => {
                let texts = values.into_iter().map(|(_, text)| text);
                schema.keyword(name).map_err(lost)?.any_of(texts)
            }
            "i64" => {
                let field = schema.i64(name).map_err(lost)?;
                let any = |values| field.any_of(values);
                numbers::<i64>(name, kind, sign, &values, |bounds| field.range(bounds), any)?
            }
            "u64" => {
                let field = schema.u64(name).map_err(lost)?;
                let any = |values| field.any_of(values);
                numbers::<u64>(name, kind, sign, &values, |bounds| field.range(bounds), any)?
            }
            "f64" => {
                let field = schema.f64(name).map_err(lost)?;
                let any = |values| field.any_of(values);
                numbers::<f64>(name, kind, sign, &values, |bounds| field.range(bounds), any)?
            }
            "bool" => {
                let field = schema.bool(name).map_err(lost)?;
                let truths = parsed::<bool>(name, kind, &values)?;
                joined(truths.into_iter().map(|value| field.eq(value)).collect(), Filter::any)
            }
            _ => match schema.key_kind() {
                KeyKind::U64 => Filter::keys(
                    parsed::<u64>(name, "a number", &values)?.into_iter().map(Key::U64),
                ),
                KeyKind::Str => Filter::keys(values.into_iter().map(|(_, text)| text)),
            },
        };
        Ok(if sign == "!=" { !filter } else { filter })
    }

    /// A value and where it stands.
    fn value(&mut self) -> Result<(usize, String), InputError> {
        match self.next()? {
            (at, Token::Word(text) | Token::Text(text)) => Ok((at, text)),
            (at, token) => Err(fault(at, format!("{} instead of a value", token.shown()))),
        }
    }
}

fn name(token: &Token) -> Option<&str> {
    match token {
        Token::Word(name) | Token::Name(name) => Some(name),
        _ => None,
    }
}

/// One filter stands for itself.
fn joined(mut filters: Vec<Filter>, join: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match filters.len() {
        1 => filters.remove(0),
        _ => join(filters),
    }
}

fn parsed<T: FromStr>(
    name: &str,
    kind: &str,
    values: &[(usize, String)],
) -> Result<Vec<T>, InputError> {
    let one = |(at, text): &(usize, String)| {
        text.parse().map_err(|_| {
            fault(*at, format!("{text:?} is no value of the attribute {name:?}, which is {kind}"))
        })
    };
    values.iter().map(one).collect()
}

fn numbers<T: FromStr + Copy + PartialOrd>(
    name: &str,
    kind: &str,
    sign: &str,
    values: &[(usize, String)],
    range: impl Fn((Bound<T>, Bound<T>)) -> Filter,
    any: impl Fn(Vec<T>) -> Filter,
) -> Result<Filter, InputError> {
    let numbers = parsed::<T>(name, kind, values)?;
    // Only a NaN is not equal to itself.
    #[allow(clippy::eq_op, reason = "how a number that is none is told apart in every type")]
    if let Some(at) = numbers.iter().position(|number| number != number) {
        return Err(fault(values[at].0, format!("{:?} is no number", values[at].1)));
    }
    Ok(match numbers[..] {
        [number] => range(match sign {
            "<" => (Bound::Unbounded, Bound::Excluded(number)),
            "<=" => (Bound::Unbounded, Bound::Included(number)),
            ">" => (Bound::Excluded(number), Bound::Unbounded),
            ">=" => (Bound::Included(number), Bound::Unbounded),
            _ => (Bound::Included(number), Bound::Included(number)),
        }),
        _ => any(numbers), // only `in` has more than one
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let mut schema = Schema::builder();
        schema.sparse("s");
        schema.keyword("lang");
        schema.i64("year");
        schema.u64("size of it");
        schema.f64("price");
        schema.bool("open");
        schema.build().unwrap()
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        let schema = schema();
        let (lang, year) = (schema.keyword("lang").unwrap(), schema.i64("year").unwrap());
        let (size, price) = (schema.u64("size of it").unwrap(), schema.f64("price").unwrap());
        let open = schema.bool("open").unwrap();
        let cases = [
            ("lang = en", lang.eq("en")),
            ("lang in (en, \"f \\\"r\")", lang.any_of(["en", "f \"r"])),
            ("year>=-5", year.range(-5..)),
            ("year < 7", year.range(..7)),
            ("`size of it` <= 7", size.range(..=7)),
            ("price > 1.5e3", price.range((Bound::Excluded(1500.0), Bound::Unbounded))),
            ("open != true", !open.eq(true)),
            ("NOT exists(price)", !price.exists()),
            ("key in (a#1, b)", Filter::keys(["a#1", "b"])),
            (
                "lang = en and year = 1 or open = false",
                Filter::any([Filter::all([lang.eq("en"), year.eq(1)]), open.eq(false)]),
            ),
            (
                "lang = en and (year = 1 or open = false)",
                Filter::all([lang.eq("en"), Filter::any([year.eq(1), open.eq(false)])]),
            ),
        ];
        for (text, wanted) in cases {
            let filter = Filter::parse(&schema, text).unwrap();
            assert_eq!(format!("{filter:?}"), format!("{wanted:?}"), "{text}");
        }
    }

    #[test]
    fn errors_name_the_attribute_and_the_column() {
        let schema = schema();
        let cases = [
            ("", "column 1: the end instead of a test"),
            ("lang", "column 5: the end instead of a comparison with \"lang\""),
            ("lang = ", "column 8: the end instead of a value"),
            ("lang = en en", "column 11: \"en\" where the filter ends"),
            ("(lang = en", "column 11: the end instead of \")\""),
            ("lang = \"en", "column 8: no \" closes this one"),
            ("lang < en", "column 6: \"lang\" is keyword, which \"<\" cannot be asked of"),
            ("s = 1", "column 1: the field \"s\" is sparse, and no attribute"),
            (
                "colour = 1",
                "no attribute is named \"colour\": there are \"lang\" (keyword), \"year\"",
            ),
            ("year = 1.5", "column 8: \"1.5\" is no value of the attribute \"year\", which is i64"),
            (
                "`size of it` = -1",
                "\"-1\" is no value of the attribute \"size of it\", which is u64",
            ),
            ("price = NaN", "column 9: \"NaN\" is no number"),
            ("open = yes", "\"yes\" is no value of the attribute \"open\", which is bool"),
            ("year in (1; 2)", "column 11: \";\" means nothing here"),
            ("lang = 'en'", "column 8: \"'\" means nothing here"),
            ("year in 1", "column 9: \"1\" instead of \"(\""),
        ];
        for (text, wanted) in cases {
            let error = Filter::parse(&schema, text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        let deep = format!("{}lang = en", "not (".repeat(100_000));
        assert!(Filter::parse(&schema, &deep).unwrap_err().to_string().contains("64 deep"));
    }
}
