//! What travels between places in a row: each tensor once, as far as the last place that takes it.

use super::Link;
use crate::route::crossings;
use crate::{BatchShape, ElementType, Module, ModuleGraph};

/// What passes from one place to the next, forward for one microbatch and back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Traffic {
    pub(crate) num_tensors: i64,
    pub(crate) bytes: f64,
    /// Of those, the tensors with gradients.
    pub(crate) num_gradients: i64,
    pub(crate) gradient_bytes: f64,
}

impl Traffic {
    /// Seconds, forward and backward together.
    pub(super) fn seconds(self, link: Link) -> f64 {
        let message = |number: i64, bytes: f64| {
            if number > 0 { link.latency + bytes / link.bytes_per_second } else { 0.0 }
        };
        message(self.num_tensors, self.bytes) + message(self.num_gradients, self.gradient_bytes)
    }

    fn add(&mut self, tensor: Self, sign: i8) {
        self.num_tensors += i64::from(sign) * tensor.num_tensors;
        self.bytes += f64::from(sign) * tensor.bytes;
        self.num_gradients += i64::from(sign) * tensor.num_gradients;
        self.gradient_bytes += f64::from(sign) * tensor.gradient_bytes;
    }
}

/// What passes from each of `num_places` places to the next; modules without a place do not count.
/// One entry less than places.
///
/// Edges of one module that name the same tensor carry the same one.
pub(crate) fn traffic<'a>(
    graph: &'a ModuleGraph,
    num_places: usize,
    shape: BatchShape,
    place: impl Fn(&'a Module) -> Option<usize>,
) -> Vec<Traffic> {
    // Each tensor is counted up where it starts and down where it ends.
    let mut changes = vec![Traffic::default(); num_places + 1];
    for crossing in crossings(graph, place).iter().filter(|tensor| tensor.start < tensor.end()) {
        let bytes = crossing.spec.num_bytes(shape);
        let mut tensor = Traffic { num_tensors: 1, bytes, ..Traffic::default() };
        if is_float(crossing.spec.dtype) {
            (tensor.num_gradients, tensor.gradient_bytes) = (1, bytes);
        }
        for (at, sign) in [(crossing.start, 1), (crossing.end(), -1)] {
            if let Some(change) = changes.get_mut(at) {
                change.add(tensor, sign);
            }
        }
    }
    let mut sum = Traffic::default();
    let sums = changes.into_iter().take(num_places.saturating_sub(1)).map(|change| {
        sum.add(change, 1);
        // What huge tensors leave behind by rounding is not there.
        sum.bytes = if sum.num_tensors > 0 { sum.bytes.max(0.0) } else { 0.0 };
        sum.gradient_bytes = if sum.num_gradients > 0 { sum.gradient_bytes.max(0.0) } else { 0.0 };
        sum
    });
    sums.collect()
}

fn is_float(dtype: ElementType) -> bool {
    match dtype {
        ElementType::F64 | ElementType::F32 | ElementType::F16 | ElementType::Bf16 => true,
        ElementType::I64 | ElementType::U32 | ElementType::U8 => false,
    }
}
