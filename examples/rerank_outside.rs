//! A model of yours has the last word: it is called back for the best hits of a hybrid search,
//! within a budget of calls.
//!
//! `cargo run --release --example rerank_outside`

use lateen::outside::{Budget, Stopped, listwise, pointwise};
use lateen::{Document, Fusion, IndexWriter, Query, Schema, TokenMatrix};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let tokens = schema.tokens("tokens", 8);
    let mut writer = IndexWriter::in_memory(schema.build()?)?;
    for (key, weight, row, text) in [
        ("a", 3.0f32, [0.6f32, 0.8], "fats"),
        ("b", 2.0, [0.8, 0.6], "fats, oils and waxes"),
        ("c", 1.0, [1.0, 0.0], "fats and oils"),
    ] {
        let row = [row[0], row[1], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let vector = [(1u32, weight)];
        let document = Document::new(key).sparse(&terms, &vector)?;
        let document = document.tokens(&tokens, TokenMatrix::new(&row, 8))?;
        writer.add(&document.payload(text.as_bytes()))?;
    }
    writer.commit()?;
    let index = writer.reader()?;

    let row = [1.0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let parts = [
        Query::sparse(&terms, &[(1u32, 1.0f32)])?,
        Query::tokens(&tokens, TokenMatrix::new(&row, 8))?,
    ];
    let hits = index.search(&Query::fused(Fusion::default(), parts)?.top(3))?;
    let texts: Vec<String> = hits
        .iter()
        .map(|hit| Ok(String::from_utf8_lossy(&hit.payload()?.unwrap_or_default()).into_owned()))
        .collect::<lateen::Result<_>>()?;

    // A cross-encoder scores one text a call. This one likes commas.
    let model =
        |text: &str| -> Result<f32, std::io::Error> { Ok(text.matches(',').count() as f32) };
    let order = pointwise(hits.len(), 3, Budget::calls(10), |place| model(&texts[place]))?;
    println!("pointwise, {} calls:", order.calls);
    for hit in &hits.reordered(&order.order) {
        println!("  {} {:.4}", hit.key(), hit.score()); // scores stay those of the search
    }

    // A large model orders a window of texts a call, longest first.
    let order = listwise(hits.len(), 2, 1, 1, Budget::calls(10), |window: &[usize]| {
        let mut places = window.to_vec();
        places.sort_by_key(|&place| std::cmp::Reverse(texts[place].len()));
        Ok::<_, std::io::Error>(places)
    })?;
    println!("listwise, {} calls: {:?}", order.calls, order.order);

    // What fails outside is no error of the search: the order stays as it was, and says why.
    let down = |_| Err(std::io::Error::other("the model is down"));
    let order = pointwise(hits.len(), 3, Budget::calls(10), down)?;
    if let Some(Stopped::Failed(error)) = order.stopped {
        println!("left as it was: {error}");
    }
    Ok(())
}
