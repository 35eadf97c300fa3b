//! Times of events that have happened or not, eight bytes each.

/// By number, when something happened.
pub(super) struct Moments(Vec<f64>);

/// No event is at this time: what has not happened is later than all that has.
const NOT_YET: f64 = f64::INFINITY;

impl Moments {
    pub(super) fn new(num: usize) -> Self {
        Self(vec![NOT_YET; num])
    }

    pub(super) fn get(&self, number: usize) -> Option<f64> {
        let moment = self.0[number];
        (moment < NOT_YET).then_some(moment)
    }

    pub(super) fn set(&mut self, number: usize, moment: f64) {
        self.0[number] = moment;
    }
}
