//! A comparison in a few lines, for people.

use std::fmt;

use super::Comparison;
use crate::render::number;

/// A table: what, measured, simulated, and by how much the first is larger.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![["", "measured", "predicted", "difference"].map(str::to_owned)];
        let mut add = |name: String, measured: f64, simulated: f64| {
            lines.push([
                name,
                number(measured),
                number(simulated),
                difference(measured, simulated),
            ]);
        };
        add("makespan".to_owned(), self.measured_makespan, self.simulated_makespan);
        for op in &self.ops {
            add(format!("{} ({})", op.op, op.count), op.measured_time, op.simulated_time);
        }
        for (rank, of_rank) in self.ranks.iter().enumerate() {
            if let (Some(measured), Some(simulated)) =
                (of_rank.measured_peak, of_rank.simulated_peak)
            {
                add(format!("peak of rank {rank}"), measured, simulated);
            }
        }
        let (measured, simulated) = (self.measured_idle_rate, self.simulated_idle_rate);
        lines.push([
            "idle".to_owned(),
            percent(measured),
            percent(simulated),
            format!("{:+.1} points", 100.0 * (measured - simulated)),
        ]);
        let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
        let [a, b, c, d] = [0, 1, 2, 3].map(width);
        for [name, measured, simulated, difference] in &lines {
            writeln!(f, "{name:a$}  {measured:>b$}  {simulated:>c$}  {difference:>d$}")?;
        }
        Ok(())
    }
}

fn difference(measured: f64, simulated: f64) -> String {
    if simulated > 0.0 {
        format!("{:+.1}%", 100.0 * (measured - simulated) / simulated)
    } else {
        number(measured - simulated)
    }
}

fn percent(part: f64) -> String {
    format!("{:.1}%", 100.0 * part)
}
