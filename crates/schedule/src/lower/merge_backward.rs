//! The pass that joins the two parts of a backward where nothing stands between them: torch's
//! `_merge_bw`.

use super::replanned;
use crate::{Compute, ComputeOp, Plan, Work};

/// The same plan with `B` wherever `I` is followed directly by `W` of the same stage and
/// microbatch. One piece of work may cost less than two; but whoever waits for the gradient of the
/// inputs waits for that of the weights as well.
///
/// # Examples
/// ```
/// use autopipe_schedule::csv;
/// use autopipe_schedule::lower::merge_backward;
///
/// let plan = csv::read_plan("0F0,0F1,0I0,0I1,0W1,0W0\n".as_bytes())?;
/// let merged = csv::read_plan("0F0,0F1,0I0,0B1,0W0\n".as_bytes())?;
/// assert_eq!(merge_backward(&plan), merged);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn merge_backward(plan: &Plan) -> Plan {
    let rows = plan.rows().iter().map(|row| merge_row(row)).collect();
    replanned(rows)
}

fn merge_row(row: &[Work]) -> Vec<Work> {
    let mut merged = Vec::with_capacity(row.len());
    for &work in row {
        let joined = merged.last().and_then(|&last| whole(last, work));
        if joined.is_some() {
            merged.pop();
        }
        merged.push(joined.unwrap_or(work));
    }
    merged
}

/// The backward of which these are the parts.
fn whole(first: Work, second: Work) -> Option<Work> {
    let (Work::Compute(input), Work::Compute(weight)) = (first, second) else { return None };
    let of_input = Compute { op: ComputeOp::BackwardWeight, ..input };
    let is_whole = input.op == ComputeOp::BackwardInput && weight == of_input;
    is_whole.then(|| Compute { op: ComputeOp::Backward, ..input }.into())
}
