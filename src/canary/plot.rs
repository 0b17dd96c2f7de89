//! Both distributions as an SVG: which share of requests (up the side, nines apart) took at most how long (along, logarithmic).

use std::fmt::Write as _;

use super::histogram::Histogram;
use super::table::duration;
use super::verdict::{Judgement, QUANTILES};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 50.0;

/// Points of a line.
const POINTS: u32 = 400;

/// Shares go up to 1 - 10^-NINES, where most measurements have their last few requests.
const NINES: f64 = 4.0;

const STABLE: &str = "#2563eb";
const CANARY: &str = "#ea580c";

/// Share at a height of 0 to 1: each quarter of the plot is another nine.
fn share_at(height: f64) -> f64 {
    1.0 - 10_f64.powf(-NINES * height)
}

fn height_of(share: f64) -> f64 {
    -(1.0 - share).log10() / NINES
}

/// A whole document, without anything outside of it.
#[must_use]
pub fn render(stable: &Histogram, canary: &Histogram, judgement: &Judgement) -> String {
    let (shortest, longest) = range(stable, canary);
    let decades = (longest / shortest).log10();
    let x = |seconds: f64| {
        let along = (seconds.clamp(shortest, longest) / shortest).log10() / decades;
        LEFT + along * (WIDTH - LEFT - RIGHT)
    };
    let y = |share: f64| HEIGHT - BOTTOM - height_of(share) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>Latency of stable and canary: {verdict}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">Share of requests \
         answered within a time: {verdict}</text>\n",
        verdict = judgement.verdict.name()
    );
    // Writing to memory does not fail.
    for (name, share) in QUANTILES {
        let at = y(share);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
    }
    for seconds in ticks(shortest, longest) {
        let at = x(seconds);
        let _ = writeln!(
            out,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\" stroke=\"#eee\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0,
            duration(Some(seconds)).replace(".00 ", " ").replace(".0 ", " ")
        );
    }
    for (row, (name, colour, histogram)) in [("stable", STABLE, stable), ("canary", CANARY, canary)]
        .into_iter()
        .enumerate()
    {
        let mut points = String::new();
        for step in 0..=POINTS {
            let share = share_at(f64::from(step) / f64::from(POINTS));
            if let Some(seconds) = histogram.quantile(share) {
                let _ = write!(points, "{:.1},{:.1} ", x(seconds), y(share));
            }
        }
        let at = HEIGHT - BOTTOM - 30.0 + 18.0 * row as f64;
        let _ = writeln!(
            out,
            "<polyline class=\"{name}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\n\
             <text x=\"{}\" y=\"{at}\" text-anchor=\"end\" fill=\"{colour}\">{name}: {} requests</text>",
            points.trim_end(),
            WIDTH - RIGHT - 8.0,
            histogram.total()
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Seconds that the plot spans: all of both lines, and never nothing.
fn range(stable: &Histogram, canary: &Histogram) -> (f64, f64) {
    let ends = |share: f64| {
        [stable, canary]
            .into_iter()
            .filter_map(move |one| one.quantile(share))
    };
    let shortest = ends(0.001)
        .filter(|value| *value > 0.0)
        .fold(f64::INFINITY, f64::min);
    let longest = ends(share_at(1.0)).fold(0.0, f64::max);
    let shortest = if shortest.is_finite() { shortest } else { 1e-5 };
    (shortest * 0.9, (longest * 1.1).max(shortest * 2.0))
}

/// 1, 2 and 5 of each decade.
fn ticks(shortest: f64, longest: f64) -> Vec<f64> {
    let first = shortest.log10().floor() as i32;
    let last = longest.log10().ceil() as i32;
    (first..=last)
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(decade)))
        .filter(|tick| (shortest..=longest).contains(tick))
        .collect()
}
