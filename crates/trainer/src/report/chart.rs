//! Which figures become which curves, as compact JSON for the page's script.

use serde::Serialize;

use super::read::{Run, Step};

/// Curves with one axis of values, over the steps.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What a value is a number of.
    unit: Unit,
    /// Whether a logarithmic scale says something.
    can_be_log: bool,
    /// Whether it begins at 0: a quantity of which there may be none.
    from_zero: bool,
    curves: Vec<Curve>,
}

/// How the script writes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    /// As a number.
    Number,
    /// With a letter for a power of 1000.
    Short,
    /// The same with a B.
    Bytes,
    /// Times 100.
    Percent,
}

#[derive(Debug, PartialEq, Serialize)]
struct Curve {
    name: String,
    /// Whether its points are few, and drawn as such.
    is_sparse: bool,
    /// Steps, ascending.
    x: Vec<usize>,
    /// Where a figure was no number, none.
    y: Vec<Option<f64>>,
}

/// The charts that have any point.
pub(super) fn charts(run: &Run) -> Vec<Chart> {
    let steps = &run.steps;
    let curve = |name: &str, value: fn(&Step) -> Option<f64>| Curve::new(name, steps, value);
    let mut losses = vec![curve("training", |step| step.loss)];
    let validation = run.evaluations.iter().map(|one| (one.step, one.val_loss)).collect();
    losses.extend(Curve::of_points("validation", validation));
    let has_mfu = steps.iter().any(|step| step.mfu.is_some());
    let (flops_title, flops_unit) = if has_mfu {
        ("Model FLOP/s utilisation", Unit::Percent)
    } else {
        ("Model FLOP/s", Unit::Short)
    };
    let flops = if has_mfu {
        curve("utilisation", |step| step.mfu)
    } else {
        curve("FLOP/s", |step| step.model_flops_per_second.filter(|&flops| flops > 0.0))
    };
    let measured = steps.iter().filter(|step| step.measured_bubble.is_some());
    let bubble = measured.map(|step| (step.step, step.measured_bubble)).collect();
    let chart =
        |title, unit, curves| Chart { title, unit, can_be_log: false, from_zero: true, curves };
    let over_powers = |title, curves| Chart {
        title,
        unit: Unit::Number,
        can_be_log: true,
        from_zero: false,
        curves,
    };
    let charts = vec![
        over_powers("Loss", losses),
        over_powers("Gradient norm", vec![curve("norm", |step| step.grad_norm)]),
        Chart {
            from_zero: true,
            ..over_powers("Learning rate", vec![curve("rate", |step| step.lr)])
        },
        chart(
            "Tokens per second",
            Unit::Short,
            vec![curve("tokens/s", |step| step.tokens_per_second)],
        ),
        chart(flops_title, flops_unit, vec![flops]),
        chart("Memory of ranks", Unit::Bytes, memory(steps)),
        chart(
            "Measured bubble",
            Unit::Percent,
            Curve::of_points("bubble", bubble).into_iter().collect(),
        ),
    ];
    let with_points = |mut chart: Chart| {
        chart.curves.retain(|curve| curve.y.iter().any(Option::is_some));
        (!chart.curves.is_empty()).then_some(chart)
    };
    charts.into_iter().filter_map(with_points).collect()
}

/// A curve for each rank.
fn memory(steps: &[Step]) -> Vec<Curve> {
    let num_ranks = steps.iter().map(|step| step.memory_bytes.len()).max().unwrap_or(0);
    let of_rank = |rank: usize| {
        let bytes = |step: &Step| {
            #[expect(clippy::cast_precision_loss, reason = "a curve has few digits")]
            step.memory_bytes.get(rank).map(|&bytes| bytes as f64)
        };
        Curve::new(&format!("rank {rank}"), steps, bytes)
    };
    (0..num_ranks).map(of_rank).collect()
}

impl Curve {
    fn new(name: &str, steps: &[Step], value: impl Fn(&Step) -> Option<f64>) -> Self {
        let x = steps.iter().map(|step| step.step).collect();
        Self { name: name.to_owned(), is_sparse: false, x, y: steps.iter().map(value).collect() }
    }

    /// None without any point.
    fn of_points(name: &str, points: Vec<(usize, Option<f64>)>) -> Option<Self> {
        let (x, y) = points.into_iter().unzip::<usize, Option<f64>, Vec<_>, Vec<_>>();
        (!x.is_empty()).then(|| Self { name: name.to_owned(), is_sparse: true, x, y })
    }
}
