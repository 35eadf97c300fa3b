//! The critical path, and how late everything could be.

use super::lookup::Lookup;
use super::network::{Event, Network, end_of, start_of};

/// What determines the makespan.
pub(super) struct Critical {
    /// Actions, the earliest first.
    pub(super) nodes: Vec<usize>,
    pub(super) length: f64,
}

/// When every event would be at the latest.
pub(super) struct Latest {
    times: Vec<f64>,
    /// By event, how many of those that wait for it are not settled. None is left, unless events
    /// wait for each other in a circle, as only a badly measured timeline has it.
    unsettled: Vec<u32>,
    makespan: f64,
}

impl Latest {
    /// Goes from the ends of the ranks back to their beginnings.
    pub(super) fn new(network: &Network) -> Self {
        let makespan = network.times.iter().copied().fold(0.0, f64::max);
        let mut latest = Self {
            times: vec![makespan; network.num_events()],
            unsettled: vec![0; network.num_events()],
            makespan,
        };
        for event in 0..network.num_events() {
            for (before, _) in network.conditions(event) {
                latest.unsettled[before] += 1;
            }
        }
        let is_settled = |event: &Event| latest.unsettled[*event] == 0;
        let mut settled: Vec<Event> = (0..network.num_events()).filter(is_settled).collect();
        while let Some(event) = settled.pop() {
            let time = latest.times[event];
            for (before, lag) in network.conditions(event) {
                latest.times[before] = latest.times[before].min(time - lag);
                latest.unsettled[before] -= 1;
                if latest.unsettled[before] == 0 {
                    settled.push(before);
                }
            }
        }
        latest
    }

    /// From the last event back along what each had to wait for.
    pub(super) fn critical_path(&self, network: &Network) -> Critical {
        let mut critical = Critical { nodes: Vec::new(), length: 0.0 };
        let ends = (0..network.num_events() / 2).map(end_of);
        let mut last: Option<Event> = None;
        for end in ends.filter(|&end| self.unsettled[end] == 0) {
            if last.is_none_or(|last| network.times[end] > network.times[last]) {
                last = Some(end);
            }
        }
        while let Some(event) = last {
            let node = event / 2;
            if event == start_of(node) {
                critical.nodes.push(node);
            }
            let mut binding: Option<(Event, f64)> = None;
            for (before, lag) in network.conditions(event) {
                let reach = |(before, lag): (Event, f64)| network.times[before] + lag;
                let is_later = binding.is_none_or(|other| reach((before, lag)) > reach(other));
                if is_later && self.unsettled[before] == 0 {
                    binding = Some((before, lag));
                }
            }
            critical.length += binding.map_or(0.0, |(_, lag)| lag);
            last = binding.map(|(before, _)| before);
        }
        critical.nodes.reverse();
        critical
    }

    /// By rank and step, how much later an action could start. What is critical has no slack at all,
    /// whatever the rounding.
    pub(super) fn slack(
        &self,
        network: &Network,
        lookup: &Lookup,
        critical: &Critical,
    ) -> Vec<Vec<f64>> {
        let rounding = self.makespan * 1e-9;
        let slack = |node: usize| {
            let slack = self.times[start_of(node)] - network.times[start_of(node)];
            if slack > rounding { slack } else { 0.0 }
        };
        let mut rows: Vec<Vec<f64>> = (0..lookup.num_ranks())
            .map(|rank| lookup.nodes_of(rank).map(slack).collect())
            .collect();
        for &node in &critical.nodes {
            let place = lookup.place(node);
            rows[place.rank.index()][place.step] = 0.0;
        }
        rows
    }
}
