//! The picture of recall against latency.

use std::fmt::Write as _;
use std::time::Duration;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::bench::Point;
use crate::failure::{Code, Failure};

const SIZE: (u32, u32) = (760, 480);

/// The colours by light, and what each is in the dark. None is twice there: the dark ones are put
/// in their place by a style sheet that tells them apart by the light ones.
const PAPER: (RGBColor, &str) = (RGBColor(0xFF, 0xFF, 0xFE), "#16181d");
const INK: (RGBColor, &str) = (RGBColor(0x1F, 0x23, 0x28), "#e6e8eb");
const FAINT: (RGBColor, &str) = (RGBColor(0x59, 0x63, 0x6E), "#a3abb5");
const GRID: (RGBColor, &str) = (RGBColor(0xE4, 0xE7, 0xEA), "#2b3038");
const MEDIAN: (RGBColor, &str) = (RGBColor(0x0B, 0x6B, 0xCB), "#5ab0ff");
const P99: (RGBColor, &str) = (RGBColor(0xB5, 0x54, 0x0A), "#f0a35e");

/// Draws a curve of medians and one of p99, a point for each effort.
pub(crate) fn draw(
    points: &[Point],
    title: &str,
    mode: &str,
    top: usize,
) -> Result<String, Failure> {
    let mut drawn = String::new();
    plot(&mut drawn, points, title, mode, top)
        .map_err(|error| Failure::new(Code::Other, format!("the picture: {error}")))?;
    Ok(both_schemes(&drawn))
}

fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).max(0.1)
}

/// Which of the times of a point.
type Of = fn(&Point) -> Duration;

fn plot(
    out: &mut String,
    points: &[Point],
    title: &str,
    mode: &str,
    top: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
    root.fill(&PAPER.0)?;
    let least = points.iter().map(|point| point.recall).fold(1.0, f64::min);
    // Room to the left of the least, and enough of a range where all is found.
    let left = (least - 0.08 * (1.0 - least)).clamp(0.0, 0.98);
    let right = 1.0 + 0.05 * (1.0 - left);
    // Whole powers of ten, which the axis has labels for.
    let times = || points.iter().flat_map(|point| [micros(point.median), micros(point.p99)]);
    let low = 10f64.powf((times().fold(f64::INFINITY, f64::min) / 1.1).log10().floor());
    let high = 10f64.powf((times().fold(0.1, f64::max) * 1.6).log10().ceil()).max(10.0 * low);
    let text = |size: u32, colour: RGBColor| ("sans-serif", size).into_font().color(&colour);
    let shown: String = title.chars().take(60).collect();
    root.draw(&Text::new(format!("Recall against latency, {mode}"), (24, 18), text(22, INK.0)))?;
    root.draw(&Text::new(
        format!(
            "{shown}; a point for each effort, whose number stands below; lower right is better"
        ),
        (24, 46),
        text(14, FAINT.0),
    ))?;
    let mut chart = ChartBuilder::on(&root)
        .margin_top(70)
        .margin_right(30)
        .margin_bottom(10)
        .margin_left(10)
        .x_label_area_size(52)
        .y_label_area_size(76)
        .build_cartesian_2d(left..right, (low..high).log_scale())?;
    let decimals = if 1.0 - left < 0.05 { 3 } else { 2 };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.0)
        .axis_style(FAINT.0)
        .x_desc(format!("recall@{top} (share of the true top {top})"))
        .y_desc("latency of one query (µs, log scale)")
        .axis_desc_style(text(15, INK.0))
        .label_style(text(14, FAINT.0))
        .x_labels(8)
        .x_label_formatter(&|share| {
            if *share > 1.000_001 { String::new() } else { format!("{share:.decimals$}") }
        })
        .y_label_formatter(&|time| number(*time))
        .draw()?;
    let curves: [(&str, RGBColor, Of); 2] =
        [("p99", P99.0, |point| point.p99), ("median", MEDIAN.0, |point| point.median)];
    for (name, colour, of) in curves {
        let line: Vec<(f64, f64)> =
            points.iter().map(|point| (point.recall, micros(of(point)))).collect();
        chart.draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?;
        chart.draw_series(line.iter().map(|&place| Circle::new(place, 4, colour.filled())))?;
        // The name stands where it has room: not over the right edge.
        if let Some(&(recall, time)) = line.first() {
            let (side, shift) = if recall - left > 0.7 * (right - left) {
                (Pos::new(HPos::Right, VPos::Center), (-12, 0))
            } else {
                (Pos::new(HPos::Left, VPos::Bottom), (0, -9))
            };
            let label = Text::new(name, shift, text(15, colour).pos(side));
            chart.draw_series(std::iter::once(EmptyElement::at((recall, time)) + label))?;
        }
    }
    // The efforts below the medians; those of points that lie together in one label.
    let places = points
        .iter()
        .map(|point| (point.effort, chart.backend_coord(&(point.recall, micros(point.median)))));
    for (efforts, place) in labels(places) {
        // The line comes from the left and leaves upwards.
        let style = text(12, FAINT.0).pos(Pos::new(HPos::Left, VPos::Top));
        root.draw(&Text::new(efforts, (place.0 + 6, place.1 + 4), style))?;
    }
    root.present()?;
    Ok(())
}

/// Points so near to one another, across and down, share a label.
const NEAR: (i32, i32) = (40, 26);

/// Efforts, and where their points are.
type Group = (Vec<f32>, Vec<(i32, i32)>);

/// The label of each group of points that lie together, and the lowest place in it.
fn labels(points: impl Iterator<Item = (f32, (i32, i32))>) -> Vec<(String, (i32, i32))> {
    let mut groups: Vec<Group> = Vec::new();
    for (effort, place) in points {
        let near = |other: &(i32, i32)| {
            (place.0 - other.0).abs() <= NEAR.0 && (place.1 - other.1).abs() <= NEAR.1
        };
        match groups.iter_mut().find(|(_, places)| places.iter().any(near)) {
            Some((efforts, places)) => {
                efforts.push(effort);
                places.push(place);
            }
            None => groups.push((vec![effort], vec![place])),
        }
    }
    let label = |(mut efforts, places): Group| {
        efforts.sort_by(f32::total_cmp);
        let text = match efforts.as_slice() {
            [one, other] => format!("{one}, {other}"),
            [first, .., last] => format!("{first}–{last}"),
            one => one.iter().map(ToString::to_string).collect(),
        };
        let lowest = places.into_iter().max_by_key(|place| place.1).unwrap_or_default();
        (text, lowest)
    };
    groups.into_iter().map(label).collect()
}

/// A number of microseconds as short as it can be told.
fn number(time: f64) -> String {
    if time < 10.0 { format!("{time:.1}") } else { crate::text::count(time.round() as u64) }
}

/// Adds the colours that a reader in the dark sees.
fn both_schemes(drawn: &str) -> String {
    let mut style = String::from("<style>@media(prefers-color-scheme:dark){");
    for (RGBColor(red, green, blue), dark) in [PAPER, INK, FAINT, GRID, MEDIAN, P99] {
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        // Writing to a string does not fail.
        let _ =
            write!(style, "[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}");
    }
    style += "}</style>\n";
    match drawn.find("<svg").and_then(|at| drawn[at..].find('>').map(|end| at + end + 1)) {
        Some(at) => format!("{}\n{style}{}", &drawn[..at], &drawn[at..]),
        None => drawn.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_lie_together_have_one_label() {
        let points = [(0.0, (10, 50)), (0.2, (200, 50)), (0.6, (400, 50)), (1.0, (410, 70))];
        let points = points.into_iter().chain([(0.8, (405, 60))]);
        let told = labels(points);
        let told: Vec<(&str, (i32, i32))> = told.iter().map(|(a, b)| (a.as_str(), *b)).collect();
        assert_eq!(told, [("0", (10, 50)), ("0.2", (200, 50)), ("0.6–1", (410, 70))]);
    }

    #[test]
    fn every_colour_of_the_picture_has_one_for_the_dark() {
        let point =
            |effort: f32, recall: f64, time| Point::of(effort, recall, Duration::from_micros(time));
        let points = [point(0.0, 0.8, 20), point(0.5, 0.95, 60), point(1.0, 1.0, 4000)];
        let drawn = draw(&points, "an <index> & more", "sparse", 10).unwrap();
        let (before, rest) = drawn.split_once("<style>").unwrap();
        let (style, picture) = rest.split_once("</style>").unwrap();
        assert!(before.starts_with("<svg") && !picture.contains("<index>"), "{picture}");
        for words in ["recall@10", "µs, log scale", "median", "p99"] {
            assert!(picture.contains(words), "{words}");
        }
        let colours = picture.match_indices("=\"#").map(|(at, _)| &picture[at + 2..at + 9]);
        for colour in colours {
            assert!(style.contains(&format!("\"{colour}\"")), "{colour}");
        }
        // One point alone, and nothing but the truth found.
        assert!(draw(&[point(1.0, 1.0, 5)], "x", "tokens", 1).is_ok());
    }
}
