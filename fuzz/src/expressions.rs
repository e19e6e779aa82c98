//! Filters as text: made of bytes by the rules of the grammar, against them, or of any text.

use lateen::{Filter, Key, KeyKind, Schema};

use super::attributes::{Row, Value, names, rows};
use super::both::indexes;
use super::choices::Choices;
use super::filters::parted;

/// A filter that is to be written.
enum Wanted {
    All(Vec<Wanted>),
    Any(Vec<Wanted>),
    Not(Box<Wanted>),
    Exists(String),
    /// An attribute or the key, a comparison, and values.
    Test(String, &'static str, Vec<String>),
}

/// The kind of an attribute; none of the key.
fn kind(schema: &Schema, name: &str) -> &'static str {
    names(schema).into_iter().find(|(own, _)| own == name).map_or("key", |found| found.1)
}

impl Wanted {
    fn of(schema: &Schema, choices: &mut Choices<'_>, depth: usize) -> Self {
        let several = |choices: &mut Choices<'_>| {
            (0..=choices.below(3)).map(|_| Self::of(schema, choices, depth + 1)).collect()
        };
        let names = names(schema);
        match choices.byte() % if depth < 4 { 8 } else { 5 } {
            5 => Self::All(several(choices)),
            6 => Self::Any(several(choices)),
            7 => Self::Not(Box::new(Self::of(schema, choices, depth + 1))),
            0 => Self::Exists(names[usize::from(choices.byte()) % names.len()].0.clone()),
            _ => {
                let at = usize::from(choices.byte()) % (names.len() + 1);
                let (name, kind) =
                    names.get(at).map_or(("key", "key"), |(name, kind)| (name.as_str(), *kind));
                let ordered = matches!(kind, "i64" | "u64" | "f64");
                let signs: &[&str] = if ordered {
                    &["=", "!=", "in", "<", "<=", ">", ">="]
                } else {
                    &["=", "!=", "in"]
                };
                let sign = choices.pick(signs);
                let most = if sign == "in" { 4 } else { 1 };
                let values = (0..=choices.below(most)).map(|_| some_value(schema, kind, choices));
                Self::Test(name.to_owned(), sign, values.collect())
            }
        }
    }

    /// As it is written, with spaces, cases and quotes as they are chosen.
    fn text(&self, choices: &mut Choices<'_>) -> String {
        let list = |parts: &[Self], words: [&str; 3], choices: &mut Choices<'_>| {
            let parts: Vec<String> = parts.iter().map(|part| part.inside(choices)).collect();
            parts.join(choices.pick(&words))
        };
        match self {
            Self::All(parts) => list(parts, [" and ", " AND ", "\tAnd\n"], choices),
            Self::Any(parts) => list(parts, [" or ", " OR ", "  oR "], choices),
            Self::Not(part) => {
                format!("{} {}", choices.pick(&["not", "NOT", "not "]), part.inside(choices))
            }
            Self::Exists(name) => format!("exists{}({name} )", choices.pick(&["", " "])),
            Self::Test(name, sign, values) => {
                let space = choices.pick(&[" ", "", "  "]);
                let name = if choices.one_in(4) { format!("`{name}`") } else { name.clone() };
                let values: Vec<String> =
                    values.iter().map(|value| written(value, choices)).collect();
                match *sign {
                    "in" => format!("{name} in{space}({})", values.join(&format!("{space},"))),
                    sign => format!("{name}{space}{sign}{space}{}", values.join("")),
                }
            }
        }
    }

    /// The same as a part of another.
    fn inside(&self, choices: &mut Choices<'_>) -> String {
        let bare = matches!(self, Self::Exists(_) | Self::Test(..)) && !choices.one_in(8);
        let text = self.text(choices);
        if bare { text } else { format!("({text})") }
    }

    /// Whether a document passes.
    fn passes(&self, schema: &Schema, key: &Key, row: &Row) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.passes(schema, key, row)),
            Self::Any(parts) => parts.iter().any(|part| part.passes(schema, key, row)),
            Self::Not(part) => !part.passes(schema, key, row),
            Self::Exists(name) => row.contains_key(name),
            Self::Test(name, sign, values) => {
                let own = match (kind(schema, name), key) {
                    ("key", Key::U64(key)) => Some(Value::U64(*key)),
                    ("key", key) => Some(Value::Texts(vec![key.to_string()])),
                    _ => row.get(name).cloned(),
                };
                let meets = |value: &String| own.as_ref().is_some_and(|own| met(own, sign, value));
                values.iter().any(meets) != (*sign == "!=")
            }
        }
    }
}

/// Whether what a document has stands so to a value; `!=` is turned round by who asks.
fn met(own: &Value, sign: &str, value: &str) -> bool {
    fn stands<T: PartialOrd>(own: &T, sign: &str, value: &T) -> bool {
        match sign {
            "<" => own < value,
            "<=" => own <= value,
            ">" => own > value,
            ">=" => own >= value,
            _ => own == value,
        }
    }
    match own {
        Value::Texts(texts) => texts.iter().any(|text| text == value),
        Value::I64(own) => stands(own, sign, &value.parse().expect("a number")),
        Value::U64(own) => stands(own, sign, &value.parse().expect("a number")),
        Value::F64(own) => stands(own, sign, &value.parse().expect("a number")),
        Value::Bool(own) => stands(own, sign, &value.parse().expect("a truth")),
    }
}

/// A value of a kind, many of them held by some document.
fn some_value(schema: &Schema, kind: &str, choices: &mut Choices<'_>) -> String {
    let number = choices.byte();
    match kind {
        "keyword" => match number {
            0..200 => choices.pick(&["en", "fr", "ké", "7", "39"]).to_owned(),
            _ => choices.pick(&["", "and", "a \"b\" \\", "(", "`"]).to_owned(),
        },
        "i64" => match number {
            0 => i64::MIN.to_string(),
            1 => i64::MAX.to_string(),
            2 => "-0".to_owned(),
            _ => (1970 + i64::from(number) - i64::from(choices.byte() / 4)).to_string(),
        },
        "u64" => match number {
            0 => u64::MAX.to_string(),
            1 => "+1".to_owned(),
            _ => (u64::from(number % 24) << 40).to_string(),
        },
        "f64" => match number {
            0 => "-0".to_owned(),
            1 => "inf".to_owned(),
            2 => "-1e300".to_owned(),
            _ => (f64::from(number) / 64.0).to_string(),
        },
        "bool" => number.is_multiple_of(2).to_string(),
        _ => match schema.key_kind() {
            KeyKind::U64 => (usize::from(number) + choices.below(300)).to_string(),
            KeyKind::Str => format!("doc-{:02}", number % 24),
        },
    }
}

/// A value as it stands in a filter: between quotes where it has to.
fn written(value: &str, choices: &mut Choices<'_>) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.+#/:".contains(c);
    if !value.is_empty() && value.chars().all(plain) && !choices.one_in(4) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A filter that was written is read as what was meant, however it was written; any other text is
/// refused or read, and lets pass what a filter may.
pub fn expressions(data: &[u8]) {
    let mut choices = Choices(data);
    let (which, how) = (choices.below(2), choices.byte());
    let schema = indexes()[which].schema();
    if how.is_multiple_of(4) {
        let text = String::from_utf8_lossy(choices.rest());
        if let Ok(filter) = Filter::parse(&schema, &text) {
            let _ = parted(which, &filter);
        }
        return;
    }
    let wanted = Wanted::of(&schema, &mut choices, 0);
    let (mut text, again) = (wanted.text(&mut choices), wanted.text(&mut Choices(&[])));
    if how % 4 == 1 {
        // With something that does not belong there, or without something that does.
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = places[choices.below(places.len())];
        let odd =
            choices.pick(&["(", ")", "\"", "`", " and ", " not ", ",", "=", "<", "\\", "é", "'"]);
        if choices.one_in(2) {
            text.insert_str(at, odd);
        } else {
            text.remove(at);
        }
        if let Ok(filter) = Filter::parse(&schema, &text) {
            let _ = parted(which, &filter);
        }
        return;
    }
    let filter = Filter::parse(&schema, &text).expect("written by the rules");
    let other = Filter::parse(&schema, &again).expect("written by the rules");
    assert_eq!(format!("{filter:?}"), format!("{other:?}"), "{text}\n{again}");
    let passed = parted(which, &filter).expect("not too deep");
    let meant = rows(which).iter().filter(|(key, row)| wanted.passes(&schema, key, row));
    assert!(meant.map(|(key, _)| key).eq(&passed), "{text}");
}
