//! Which parameters learn faster, slower, or decay otherwise than the rest.

use std::fmt;
use std::sync::Arc;

use candle_core::Result;

use super::Rule;
use super::rule::at_least_zero;
use crate::Parameter;

/// Parameters that are updated with constants of their own.
#[derive(Clone)]
pub struct Group {
    /// Whether a parameter of this name is one of them.
    pub matches: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// Their weight decay; `None` for the rule's, which vectors (norms and biases) do not have.
    pub weight_decay: Option<f64>,
    /// What the learning rate is multiplied by.
    pub lr_factor: f64,
}

impl Group {
    /// Those whose names `matches`, updated as if they were in no group: change its fields.
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { matches: Arc::new(matches), weight_decay: None, lr_factor: 1. }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("weight_decay", &self.weight_decay)
            .field("lr_factor", &self.lr_factor)
            .finish_non_exhaustive()
    }
}

/// # Errors
/// If a constant is out of its range.
pub(super) fn check(groups: &[Group]) -> Result<()> {
    groups.iter().try_for_each(|group| {
        at_least_zero("weight_decay of a group", group.weight_decay.unwrap_or(0.))?;
        at_least_zero("lr_factor of a group", group.lr_factor)
    })
}

/// The weight decay of a parameter and its factor for the learning rate.
pub(super) fn of_parameter(groups: &[Group], rule: &Rule, parameter: &Parameter) -> (f64, f64) {
    let own = groups.iter().find(|group| (group.matches)(parameter.name()));
    let of_rule = if parameter.whole_shape().rank() > 1 { rule.weight_decay() } else { 0. };
    own.map_or((of_rule, 1.), |group| (group.weight_decay.unwrap_or(of_rule), group.lr_factor))
}
