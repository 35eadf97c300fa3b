//! The run in a dozen figures, as the head of the page has them.

use autopipe::schedule::render::number;
use autopipe::splitter::{short, with_commas};

use super::read::{Run, Step};

/// What is known of the run: a name and a value each.
pub(super) fn facts(run: &Run) -> Vec<(&'static str, String)> {
    let steps = &run.steps;
    let mut facts = Vec::new();
    let last = steps.iter().map(|step| step.step).max().unwrap_or(0);
    facts.push(("steps", with_commas(last)));
    facts.extend(
        steps.last().and_then(|step| step.epoch).map(|epoch| ("epochs", number(round(epoch)))),
    );
    let tokens = steps.iter().filter_map(|step| step.tokens).fold(0, usize::saturating_add);
    facts.push(("label tokens", with_commas(tokens)));
    let seconds: f64 = steps.iter().filter_map(|step| step.seconds).sum();
    facts.push(("time in steps", duration(seconds)));
    let losses = steps.iter().filter_map(|step| Some((step.step, step.loss?)));
    facts.extend(of_losses("loss", losses));
    let of_validation = run.evaluations.iter().filter_map(|one| Some((one.step, one.val_loss?)));
    facts.extend(of_losses("validation loss", of_validation));
    let middle = |value: fn(&Step) -> Option<f64>| median(steps.iter().filter_map(value).collect());
    facts.extend(
        middle(|step| step.tokens_per_second).map(|rate| ("tokens/s, median", short(rate))),
    );
    facts.extend(middle(|step| step.mfu).map(|mfu| ("MFU, median", percent(mfu))));
    let bubble = steps.iter().rev().find_map(|step| step.measured_bubble);
    facts.extend(bubble.map(|bubble| ("measured bubble", percent(bubble))));
    let num_skipped = steps.iter().filter(|step| step.skipped.is_some()).count();
    if num_skipped > 0 {
        facts.push(("skipped updates", with_commas(num_skipped)));
    }
    facts
}

/// The last one, and where the lowest was, if that is another.
fn of_losses(
    name: &'static str,
    losses: impl Iterator<Item = (usize, f64)> + Clone,
) -> Option<(&'static str, String)> {
    let (_, last) = losses.clone().last()?;
    let (step, lowest) = losses.reduce(|low, next| if next.1 < low.1 { next } else { low })?;
    let lowest = if lowest < last {
        format!(", lowest {} at step {step}", digits(lowest))
    } else {
        String::new()
    };
    Some((name, format!("{}{lowest}", digits(last))))
}

/// A loss, to four digits behind the point.
pub(super) fn digits(loss: f64) -> String {
    format!("{loss:.4}")
}

pub(super) fn percent(part: f64) -> String {
    format!("{:.1}%", 100.0 * part)
}

/// `2 h 05 min`, `3 min 20 s`, `4.2 s`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else if whole < 3600.0 {
        format!("{} min {:02} s", (whole / 60.0).floor(), whole % 60.0)
    } else {
        let minutes = (whole / 60.0).floor();
        format!("{} h {:02} min", (minutes / 60.0).floor(), minutes % 60.0)
    }
}

fn round(epoch: f64) -> f64 {
    (1000.0 * epoch).round() / 1000.0
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
