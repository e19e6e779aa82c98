//! The public interface, as text: `tests/public_api.txt` has a line for each public item, with its
//! signature, and this test compares. Who changes the interface on purpose runs
//! `UPDATE_API=1 cargo test --test public_api`, looks at the difference, and says in the CHANGELOG
//! what it means for users.
//!
//! The source is read as it is, features and all. The lint `unreachable_pub` sees to it that what
//! is `pub` can be reached from outside; so whatever is marked so, and not hidden, is listed. An
//! item is named after the public modules it stands in, since private ones are nobody's business.
//! Of macros the public items of their bodies are listed, and each use: what they make changes
//! only if one of the two does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, TraitItem, Type, Visibility};

/// A module's file, its public path, and where its own modules are.
struct Place {
    path: String,
    children: PathBuf,
}

#[derive(Default)]
struct Listing {
    lines: BTreeSet<String>,
    /// Implementations of traits, kept until it is known which types are public.
    impls: Vec<(String, String)>,
    types: BTreeSet<String>,
    /// Uses of macros, with the name of each, kept until it is known which make something public.
    uses: Vec<(String, String)>,
    macros: BTreeSet<String>,
}

fn public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether an item is for tests, or hidden from the documentation.
fn passed_over(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.meta.to_token_stream().to_string();
        text == "cfg (test)" || text == "cfg (doctest)" || text == "doc (hidden)"
    })
}

/// Tokens as a person would write them.
fn tidy(tokens: &impl ToTokens) -> String {
    let mut text = String::new();
    for word in tokens.to_token_stream().to_string().split_whitespace() {
        let tight_before = [",", ";", ":", "?", ">", ")", "]", "(", "::", ".", "!", "<"];
        let tight_after = ["(", "[", "&", "<", "::", ".", "!", "'"];
        let glue = text.is_empty()
            || tight_before.iter().any(|mark| word.starts_with(mark))
            || tight_after.iter().any(|mark| text.ends_with(mark));
        let arrow = word == "->" || text.ends_with("->") || word == "=>";
        if !glue || arrow {
            text.push(' ');
        }
        text += word;
    }
    text.replace(",)", ")").replace(", >", ">").replace(", )", ")")
}

impl Listing {
    fn say(&mut self, place: &str, what: &str) {
        self.lines.insert(if place.is_empty() {
            what.to_owned()
        } else {
            format!("{place}: {what}")
        });
    }

    fn file(&mut self, file: &Path, place: &Place) {
        let text = fs::read_to_string(file).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.items(&parsed.items, place);
    }

    fn items(&mut self, items: &[Item], place: &Place) {
        for item in items {
            self.item(item, place);
        }
    }

    fn item(&mut self, item: &Item, place: &Place) {
        let at = place.path.as_str();
        match item {
            Item::Mod(module) if !passed_over(&module.attrs) => {
                let name = module.ident.to_string();
                let mut path = place.path.clone();
                if public(&module.vis) {
                    self.say(at, &format!("pub mod {name}"));
                    path = if path.is_empty() { name.clone() } else { format!("{path}::{name}") };
                }
                let inner = Place { path, children: place.children.join(&name) };
                if let Some((_, items)) = &module.content {
                    self.items(items, &inner);
                    return;
                }
                let flat = place.children.join(format!("{name}.rs"));
                let file = if flat.is_file() { flat } else { inner.children.join("mod.rs") };
                self.file(&file, &inner);
            }
            Item::Use(used) if public(&used.vis) && !passed_over(&used.attrs) => {
                let mut names = Vec::new();
                flatten(&used.tree, "", &mut names);
                for name in names {
                    // Where it comes from is private; that it is there is not.
                    self.say(at, &format!("pub use {name}"));
                }
            }
            Item::Struct(made) if public(&made.vis) && !passed_over(&made.attrs) => {
                let (marks, generics) = (marks(&made.attrs), tidy(&made.generics));
                self.say(at, &format!("pub struct {}{generics}{marks}", made.ident));
                self.types.insert(made.ident.to_string());
                for (number, field) in made.fields.iter().enumerate() {
                    if public(&field.vis) {
                        let name =
                            field.ident.as_ref().map_or(number.to_string(), ToString::to_string);
                        self.say(at, &format!("{}.{name}: {}", made.ident, tidy(&field.ty)));
                    }
                }
            }
            Item::Enum(made) if public(&made.vis) && !passed_over(&made.attrs) => {
                let marks = marks(&made.attrs);
                self.say(at, &format!("pub enum {}{}{marks}", made.ident, tidy(&made.generics)));
                self.types.insert(made.ident.to_string());
                for variant in &made.variants {
                    let mut fields: Vec<String> = Vec::new();
                    for field in &variant.fields {
                        let name = field.ident.as_ref().map(|name| format!("{name}: "));
                        fields.push(name.unwrap_or_default() + &tidy(&field.ty));
                    }
                    let fields = match &variant.fields {
                        Fields::Unit => String::new(),
                        Fields::Unnamed(_) => format!("({})", fields.join(", ")),
                        Fields::Named(_) => format!(" {{ {} }}", fields.join(", ")),
                    };
                    self.say(at, &format!("{}::{}{fields}", made.ident, variant.ident));
                }
            }
            Item::Fn(made) if public(&made.vis) && !passed_over(&made.attrs) => {
                self.say(at, &format!("pub {}", tidy(&made.sig)));
            }
            Item::Const(made) if public(&made.vis) && !passed_over(&made.attrs) => {
                let (name, ty, value) = (&made.ident, tidy(&made.ty), tidy(&made.expr));
                self.say(at, &format!("pub const {name}: {ty} = {value}"));
            }
            Item::Type(made) if public(&made.vis) && !passed_over(&made.attrs) => {
                let (name, generics) = (&made.ident, tidy(&made.generics));
                self.say(at, &format!("pub type {name}{generics} = {}", tidy(&made.ty)));
            }
            Item::Trait(made) if public(&made.vis) && !passed_over(&made.attrs) => {
                self.say(at, &format!("pub trait {}{}", made.ident, tidy(&made.generics)));
                for item in &made.items {
                    if let TraitItem::Fn(method) = item {
                        self.say(at, &format!("{}::{}", made.ident, tidy(&method.sig)));
                    }
                }
            }
            Item::Impl(block) if !passed_over(&block.attrs) => self.block(block, at),
            Item::Macro(used) => self.used(used, at),
            _ => {}
        }
    }

    fn block(&mut self, block: &syn::ItemImpl, at: &str) {
        let own = tidy(&block.self_ty);
        let generics = tidy(&block.generics.params);
        let generics = if generics.is_empty() { generics } else { format!("<{generics}>") };
        if let Some((_, path, _)) = &block.trait_ {
            let line = format!("impl{generics} {} for {own}", tidy(path));
            self.impls.push((base(&block.self_ty), line));
            return;
        }
        for item in &block.items {
            match item {
                ImplItem::Fn(method) if public(&method.vis) && !passed_over(&method.attrs) => {
                    self.say(at, &format!("impl{generics} {own}: pub {}", tidy(&method.sig)));
                }
                ImplItem::Const(made) if public(&made.vis) => {
                    let (name, ty) = (&made.ident, tidy(&made.ty));
                    self.say(at, &format!("impl{generics} {own}: pub const {name}: {ty}"));
                }
                _ => {}
            }
        }
    }

    /// A macro: what is public in its definition, or how it is used.
    fn used(&mut self, used: &syn::ItemMacro, at: &str) {
        let path = tidy(&used.mac.path);
        if let Some(name) = &used.ident {
            let mut found = Vec::new();
            in_macro(used.mac.tokens.clone(), &mut found);
            let body = used.mac.tokens.to_string();
            if !found.is_empty() || (body.contains("impl <") && body.contains(" for ")) {
                self.macros.insert(name.to_string());
            }
            for line in found {
                self.say(at, &format!("macro {name}: {line}"));
            }
        } else if path != "macro_rules" {
            let text = tidy(&without_docs(used.mac.tokens.clone()));
            let place = if at.is_empty() { String::new() } else { format!("{at}: ") };
            self.uses
                .push((path.clone(), format!("{place}{path}!({})", text.trim_end_matches(','))));
        }
    }
}

/// What stands before an item that users must know: that it may grow, what it derives.
fn marks(attributes: &[Attribute]) -> String {
    let mut marks = String::new();
    for attribute in attributes {
        let name = attribute.path();
        if name.is_ident("non_exhaustive") || name.is_ident("derive") {
            marks = format!("{marks} #[{}]", tidy(&attribute.meta));
        }
    }
    marks
}

/// The name at the heart of a type.
fn base(ty: &Type) -> String {
    match ty {
        Type::Path(path) => {
            path.path.segments.last().map_or(String::new(), |s| s.ident.to_string())
        }
        Type::Reference(inner) => base(&inner.elem),
        _ => String::new(),
    }
}

fn flatten(tree: &syn::UseTree, before: &str, names: &mut Vec<String>) {
    match tree {
        syn::UseTree::Path(path) => {
            // A crate of others is named; rooms of ours are not.
            let outside = path.ident == "roaring";
            let before = if outside { format!("{}::", path.ident) } else { before.to_owned() };
            flatten(&path.tree, &before, names);
        }
        syn::UseTree::Name(name) => names.push(format!("{before}{}", name.ident)),
        syn::UseTree::Rename(name) => names.push(format!("{before}{}", name.rename)),
        syn::UseTree::Glob(_) => names.push(format!("{before}*")),
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, before, names));
        }
    }
}

/// The `pub` items in the tokens of a macro, each up to its body.
fn in_macro(tokens: TokenStream, found: &mut Vec<String>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        let is_pub = matches!(&trees[at], TokenTree::Ident(word) if word == "pub");
        let narrow = matches!(trees.get(at + 1), Some(TokenTree::Group(_)));
        if is_pub && !narrow {
            let ends = |tree: &TokenTree| match tree {
                TokenTree::Group(group) => group.delimiter() == proc_macro2::Delimiter::Brace,
                TokenTree::Punct(mark) => mark.as_char() == ';',
                _ => false,
            };
            let end = trees[at..].iter().position(ends).map_or(trees.len(), |n| at + n);
            found.push(tidy(&trees[at..end].iter().cloned().collect::<TokenStream>()));
            at = end;
        }
        if let Some(TokenTree::Group(group)) = trees.get(at) {
            in_macro(group.stream(), found);
        }
        at += 1;
    }
}

/// Tokens without documentation.
fn without_docs(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for tree in tokens {
        let doc = matches!(&tree, TokenTree::Group(group)
            if group.stream().to_string().starts_with("doc =")
                && matches!(kept.last(), Some(TokenTree::Punct(mark)) if mark.as_char() == '#'));
        if doc {
            kept.pop();
        } else {
            kept.push(tree);
        }
    }
    kept.into_iter().collect()
}

fn listing() -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut listing = Listing::default();
    listing.file(&src.join("lib.rs"), &Place { path: String::new(), children: src.clone() });
    for (name, line) in std::mem::take(&mut listing.impls) {
        if listing.types.contains(&name) {
            listing.lines.insert(line);
        }
    }
    for (name, line) in std::mem::take(&mut listing.uses) {
        if listing.macros.contains(&name) {
            listing.lines.insert(line);
        }
    }
    listing.lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_public_interface_is_what_was_agreed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/public_api.txt");
    let now = listing();
    if std::env::var_os("UPDATE_API").is_some() {
        fs::write(&file, &now).unwrap();
        return;
    }
    let agreed = fs::read_to_string(&file).unwrap();
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) =
        (agreed.lines().collect(), now.lines().collect());
    let gone: Vec<String> = before.difference(&after).map(|line| format!("- {line}")).collect();
    let new: Vec<String> = after.difference(&before).map(|line| format!("+ {line}")).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "the public interface has changed:\n{}\n{}\nIf that is meant: \
         UPDATE_API=1 cargo test --test public_api, and a line in the CHANGELOG",
        gone.join("\n"),
        new.join("\n")
    );
}

/// What the listing must not miss, whatever else it has.
#[test]
fn the_listing_sees_all_kinds_of_items() {
    let now = listing();
    for line in [
        "pub use IndexWriter",
        "impl IndexWriter: pub fn commit(&mut self) -> Result<u64>",
        "impl<'a> Document<'a>: pub fn new(key: impl Into<Key>) -> Self",
        "Effort::Recall(f32)",
        "TermPart.term: TermId",
        "limits: pub const MAX_TOP: usize = 10_000",
        "pub mod guide",
        "eval: pub fn evaluate(",
        "impl From<u64> for Key",
        "macro handle: pub fn name(&self) -> &str",
    ] {
        assert!(now.lines().any(|other| other.starts_with(line)), "{line}\n{now}");
    }
    assert!(!now.contains("pub(crate)") && !now.contains("pub (crate"), "{now}");
}
