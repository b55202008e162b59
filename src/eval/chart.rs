use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{EvalError, Interval, Rate, RatesAt};
use crate::domain::Similarity;

/// Size of a panel, px of the picture.
const PANEL_PX: (u32, u32) = (640, 460);
const FONT: &str = "sans-serif";
/// Told apart by people who see few colours, too (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 5] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(86, 86, 86)];
/// Bars of a histogram.
const BINS: usize = 60;
/// The smallest rate that has a place on a logarithmic axis, whatever the data.
const LEAST_RATE: f64 = 1e-7;

/// A picture of one panel beside the other, as SVG.
#[derive(Debug, Clone, PartialEq)]
pub enum Panel {
    /// Error rates against each other over all thresholds, both axes logarithmic (detection error trade-off).
    Tradeoff {
        /// Heading.
        title: String,
        /// What the rate of false positives is called, such as `FPIR`.
        false_positives: &'static str,
        /// What the rate of false negatives is called, such as `FNIR`.
        false_negatives: &'static str,
        /// The curves.
        curves: Vec<Curve>,
    },
    /// How a rate grows with the number of subjects, both axes logarithmic.
    Growth {
        /// Heading.
        title: String,
        /// What the rate is called, with its unit: `FPIR, %`.
        rate: &'static str,
        /// The curves.
        curves: Vec<GrowthCurve>,
    },
    /// How scores are distributed, each kind by the share of itself.
    Histogram {
        /// Heading.
        title: String,
        /// What the scores are, with their unit: `similarity, cosine`.
        scores: &'static str,
        /// The kinds.
        kinds: Vec<Kind>,
        /// Thresholds to mark, each with its name.
        thresholds: Vec<(String, f32)>,
    },
}

/// A curve of a trade-off.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its name in the legend.
    pub label: String,
    /// Rates of false positives and of false negatives, 0..=1.
    pub points: Vec<(f64, f64)>,
    /// Points to mark on it, with their intervals.
    pub marks: Vec<RatesAt>,
}

/// The scores of one kind of comparison or detection.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// Its name in the legend.
    pub label: String,
    /// The scores, in any order.
    pub scores: Vec<f32>,
}

impl Kind {
    /// The similarities of one kind of comparison.
    pub fn of(label: &str, similarities: &[Similarity]) -> Self {
        Self { label: label.to_owned(), scores: similarities.iter().map(|s| s.value()).collect() }
    }
}

/// A rate over the number of subjects.
#[derive(Debug, Clone, PartialEq)]
pub struct GrowthCurve {
    /// Its name in the legend.
    pub label: String,
    /// Number of subjects, at least 1; the rate there, 0..=1; its interval.
    pub points: Vec<(usize, f64, Interval)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws the panels side by side on white, and gives the SVG document.
///
/// # Errors
/// [`EvalError::Chart`] with what the drawing library said.
pub fn draw(panels: &[Panel]) -> Result<String, EvalError> {
    let failed = |reason: String| EvalError::Chart { reason };
    let columns = panels.len().max(1);
    let width = PANEL_PX.0 * u32::try_from(columns).map_err(|e| failed(e.to_string()))?;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, PANEL_PX.1)).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(|e| e.to_string()).and_then(|()| {
            panels.iter().zip(area.split_evenly((1, columns))).try_for_each(|(panel, place)| {
                match panel {
                    Panel::Tradeoff { title, false_positives, false_negatives, curves } => {
                        tradeoff(&place, title, [*false_positives, *false_negatives], curves)
                    }
                    Panel::Growth { title, rate, curves } => growth(&place, [title, rate], curves),
                    Panel::Histogram { title, scores, kinds, thresholds } => {
                        histogram(&place, [title, scores], kinds, thresholds)
                    }
                }
                .map_err(|e| e.to_string())
            })
        });
        drawn.and_then(|()| area.present().map_err(|e| e.to_string())).map_err(failed)?;
    }
    Ok(svg)
}

/// Heading, and room for the axes' names.
fn frame<'a, 'b>(area: &'a Area<'b>, title: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.caption(title, (FONT, 18)).margin(14).margin_right(24).x_label_area_size(48).y_label_area_size(74);
    builder
}

/// What the colours mean.
fn legend<'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, C>,
    position: SeriesLabelPosition,
) -> Result<(), Box<dyn std::error::Error>> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(190, 190, 190))
        .label_font((FONT, 14))
        .draw()?;
    Ok(())
}

fn tradeoff(
    area: &Area<'_>,
    title: &str,
    names: [&str; 2],
    curves: &[Curve],
) -> Result<(), Box<dyn std::error::Error>> {
    // What is zero lies on the axis: half of the least rate there is.
    let floor = |of: fn(&(f64, f64)) -> f64| {
        let positive = curves.iter().flat_map(|c| &c.points).map(of).filter(|rate| *rate > 0.0);
        (positive.fold(0.02, f64::min) / 2.0).max(LEAST_RATE)
    };
    let (x_floor, y_floor) = (floor(|p| p.0), floor(|p| p.1));
    let place = |(x, y): (f64, f64)| (x.max(x_floor), y.max(y_floor));
    let mut chart = frame(area, title).build_cartesian_2d((x_floor..1.0).log_scale(), (y_floor..1.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(format!("{}, false positives, %", names[0]))
        .y_desc(format!("{}, false negatives, %", names[1]))
        .x_label_formatter(&|rate| percent(*rate))
        .y_label_formatter(&|rate| percent(*rate))
        .label_style((FONT, 14))
        .light_line_style(RGBColor(236, 236, 236))
        .bold_line_style(RGBColor(208, 208, 208))
        .x_max_light_lines(1)
        .y_max_light_lines(1)
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(corners(curve.points.iter().copied().map(place)), colour.stroke_width(2)))?
            .label(if curve.marks.is_empty() { curve.label.clone() } else { format!("{}; bars: 95 %", curve.label) })
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        for mark in &curve.marks {
            let (x, y) = (mark.false_positives, mark.false_negatives);
            let (Some(at_x), Some(at_y)) = (x.value(), y.value()) else { continue };
            let across = [(x.interval().low, at_y), (x.interval().high, at_y)].map(place);
            let along = [(at_x, y.interval().low), (at_x, y.interval().high)].map(place);
            chart.draw_series([across, along].map(|line| PathElement::new(line, colour.mix(0.55))))?;
            chart.draw_series([Circle::new(place((at_x, at_y)), 4, colour.filled())])?;
        }
    }
    legend(&mut chart, SeriesLabelPosition::UpperRight)
}

/// A curve of steps without the points in the middle of a level or of a rise: hundreds of probes make thousands of them.
fn corners(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for next in points {
        if let [.., before, last] = corners[..]
            && ((before.0 == last.0 && last.0 == next.0) || (before.1 == last.1 && last.1 == next.1))
        {
            corners.pop();
        }
        corners.push(next);
    }
    corners
}

fn growth(area: &Area<'_>, [title, rate]: [&str; 2], curves: &[GrowthCurve]) -> Result<(), Box<dyn std::error::Error>> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let most = points().map(|(subjects, ..)| *subjects).fold(10, usize::max) as f64;
    let positive = points().flat_map(|(_, rate, interval)| [*rate, interval.low]).filter(|rate| *rate > 0.0);
    let floor = (positive.fold(0.001, f64::min) / 2.0).max(LEAST_RATE);
    let place = |(subjects, rate): (usize, f64)| (subjects.max(1) as f64, rate.max(floor));
    let mut chart = frame(area, title).build_cartesian_2d((1.0..most).log_scale(), (floor..1.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("subjects in the gallery")
        .y_desc(rate)
        .x_label_formatter(&|subjects| format!("{subjects:.0}"))
        .y_label_formatter(&|rate| percent(*rate))
        .label_style((FONT, 14))
        .light_line_style(RGBColor(236, 236, 236))
        .bold_line_style(RGBColor(208, 208, 208))
        .x_max_light_lines(1)
        .y_max_light_lines(1)
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let upper = curve.points.iter().map(|(n, _, interval)| place((*n, interval.high)));
        let lower = curve.points.iter().rev().map(|(n, _, interval)| place((*n, interval.low)));
        chart.draw_series([Polygon::new(upper.chain(lower).collect::<Vec<_>>(), colour.mix(0.2).filled())])?;
        chart
            .draw_series(LineSeries::new(
                curve.points.iter().map(|(n, rate, _)| place((*n, *rate))),
                colour.stroke_width(2),
            ))?
            .label(&curve.label)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

/// `0.1` for 0.001: the axis says that it is in percent.
fn percent(rate: f64) -> String {
    // The floor of an axis is no round number.
    format!("{:.3e}", 100.0 * rate).parse::<f64>().map_or_else(|_| String::new(), |percent| percent.to_string())
}

fn histogram(
    area: &Area<'_>,
    [title, scores]: [&str; 2],
    kinds: &[Kind],
    thresholds: &[(String, f32)],
) -> Result<(), Box<dyn std::error::Error>> {
    let all = || kinds.iter().flat_map(|k| &k.scores).copied().map(f64::from);
    let marked = || thresholds.iter().map(|(_, t)| f64::from(*t));
    // To the next tenth beyond the data.
    let low = (all().chain(marked()).fold(0.0, f64::min) * 10.0).floor() / 10.0;
    let high = (all().chain(marked()).fold(0.1, f64::max) * 10.0).ceil() / 10.0;
    let bars: Vec<Vec<f64>> = kinds.iter().map(|kind| shares(&kind.scores, low, high)).collect();
    let highest = bars.iter().flatten().copied().fold(1.0, f64::max);
    // Room for the legend and the names of the thresholds.
    let top = highest * 1.35;
    let mut chart = frame(area, title).build_cartesian_2d(low..high, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(scores)
        .y_desc("share of its kind, % a bar")
        .x_label_formatter(&|x| format!("{:.1}", (x * 10.0).round() / 10.0 + 0.0))
        .label_style((FONT, 14))
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(224, 224, 224))
        .draw()?;
    let edge = |bar: usize| low + (high - low) * bar as f64 / BINS as f64;
    for ((kind, shares), colour) in kinds.iter().zip(&bars).zip(COLOURS.iter().cycle()) {
        let tops = shares.iter().enumerate().flat_map(|(bar, share)| [(edge(bar), *share), (edge(bar + 1), *share)]);
        let outline: Vec<(f64, f64)> =
            std::iter::once((low, 0.0)).chain(tops).chain(std::iter::once((high, 0.0))).collect();
        chart.draw_series([Polygon::new(outline.clone(), colour.mix(0.25).filled())])?;
        chart
            .draw_series([PathElement::new(outline, colour.stroke_width(2))])?
            .label(format!("{} ({})", kind.label, kind.scores.len()))
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    for (i, (name, threshold)) in thresholds.iter().enumerate() {
        let x = f64::from(*threshold);
        // Names of neighbouring thresholds one below the other.
        let y = top * (0.97 - 0.045 * (i % 8) as f64);
        let style = (FONT, 13).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        chart.draw_series([PathElement::new([(x, 0.0), (x, top)], BLACK.mix(0.6))])?;
        chart.draw_series([EmptyElement::at((x, y)) + Text::new(name.clone(), (4, 0), style)])?;
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

/// For every bar between `low` and `high` the share of the scores in it, percent.
fn shares(scores: &[f32], low: f64, high: f64) -> Vec<f64> {
    let mut counts = vec![0u64; BINS];
    for score in scores {
        let way = (f64::from(*score) - low) / (high - low);
        counts[((way * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let trials = scores.len() as u64;
    counts.into_iter().map(|errors| 100.0 * Rate { errors, trials }.value().unwrap_or(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Threshold;

    fn panels() -> Vec<Panel> {
        let mark = RatesAt {
            target: 0.01,
            threshold: Threshold::new(0.5),
            false_positives: Rate { errors: 1, trials: 100 },
            false_negatives: Rate { errors: 0, trials: 50 },
        };
        let curve =
            Curve { label: "mean <3>".into(), points: vec![(0.0, 1.0), (0.01, 0.0), (1.0, 0.0)], marks: vec![mark] };
        vec![
            Panel::Tradeoff {
                title: "One & all".into(),
                false_positives: "FPIR",
                false_negatives: "FNIR",
                curves: vec![curve],
            },
            Panel::Histogram {
                title: "Similarities".into(),
                scores: "similarity, cosine",
                kinds: vec![
                    Kind::of("mated", &[0.7, 0.8, 1.0].map(Similarity::new)),
                    Kind { label: "non-mated".into(), scores: vec![-1.0, 0.1] },
                ],
                thresholds: vec![("FPIR 1 %".into(), 0.5)],
            },
        ]
    }

    #[test]
    fn a_chart_names_axes_curves_and_thresholds_and_is_escaped() {
        let svg = draw(&panels()).unwrap();
        for text in ["One &amp; all", "mean &lt;3&gt;", "FPIR, false positives, %", "non-mated (2)", "FPIR 1 %"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn nothing_to_draw_is_no_panic() {
        let empty = [
            Panel::Tradeoff { title: "t".into(), false_positives: "FMR", false_negatives: "FNMR", curves: vec![] },
            Panel::Histogram { title: "h".into(), scores: "s", kinds: vec![], thresholds: vec![] },
        ];
        assert!(draw(&empty).unwrap().contains("</svg>"));
        assert!(draw(&[]).unwrap().contains("</svg>"));
    }

    #[test]
    fn bars_are_shares_of_their_kind() {
        let bars = shares(&[-1.0, 1.0, 1.0, 1.0], -1.0, 1.0);
        assert_eq!((bars[0], bars[BINS - 1], bars.iter().sum::<f64>()), (25.0, 75.0, 100.0));
    }

    #[test]
    fn only_the_corners_of_a_curve_are_drawn() {
        let steps = [(0.0, 1.0), (0.0, 0.7), (0.0, 0.5), (0.1, 0.5), (0.2, 0.5), (0.2, 0.0), (1.0, 0.0)];
        assert_eq!(corners(steps.into_iter()), [(0.0, 1.0), (0.0, 0.5), (0.2, 0.5), (0.2, 0.0), (1.0, 0.0)]);
    }

    #[test]
    fn axes_are_in_percent() {
        assert_eq!([0.001, 0.05, 1.0, 0.000_000_1].map(percent), ["0.1", "5", "100", "0.00001"]);
    }
}
