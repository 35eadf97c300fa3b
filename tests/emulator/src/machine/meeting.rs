//! What the threads of a warp do together: shuffles and votes.

use super::thread::{State, Thread};
use crate::ptx::{Op, Shuffle, Vote};

/// Does what all of its threads have come to; whether there was anything.
pub(super) fn of_warp(warp: &mut [Thread]) -> bool {
    let mut has_met = false;
    for lane in 0..warp.len() {
        if warp[lane].state != State::Waiting {
            continue;
        }
        let mask = match warp[lane].stopped_at() {
            Op::Shuffle { from, .. } => warp[lane].get(from[3]),
            Op::Ballot { mask, .. } => warp[lane].get(*mask),
            _ => continue,
        };
        let at = warp[lane].at();
        let is_there = |thread: &Thread| thread.state == State::Waiting && thread.at() == at;
        let takes_part = |lane: usize| mask >> lane & 1 == 1;
        let wanted = |(of, thread): (usize, &Thread)| takes_part(of) && thread.state != State::Done;
        if (0..).zip(warp.iter()).filter(|each| wanted(*each)).all(|(_, thread)| is_there(thread)) {
            let lanes: Vec<usize> =
                (0..warp.len()).filter(|of| takes_part(*of) && is_there(&warp[*of])).collect();
            meet(warp, &lanes);
            has_met = true;
        }
    }
    has_met
}

fn meet(warp: &mut [Thread], lanes: &[usize]) {
    let Some(&first) = lanes.first() else { return };
    match *warp[first].stopped_at() {
        Op::Shuffle { kind, to, was_there, from: [value, by, clamp, _] } => {
            // What comes from a thread that is not there is nobody's to rely on.
            let mut values = [u64::from(u32::MAX); 32];
            for &lane in lanes {
                values[lane] = warp[lane].get(value);
            }
            for &lane in lanes {
                let of = |slot| warp[lane].get(slot);
                let (from, is_there) = source(kind, lane, of(by), of(clamp));
                warp[lane].set(to, values[from]);
                warp[lane].set(was_there, u64::from(is_there));
            }
        }
        Op::Ballot { to, from, negate, kind, .. } => {
            let says = |lane: &usize| (warp[*lane].get(from) != 0) != negate;
            let found = match kind {
                Vote::All => u64::from(lanes.iter().all(says)),
                Vote::Any => u64::from(lanes.iter().any(says)),
                Vote::Ballot => lanes.iter().filter(|lane| says(lane)).map(|lane| 1 << lane).sum(),
            };
            for &lane in lanes {
                warp[lane].set(to, found);
            }
        }
        _ => {}
    }
    for &lane in lanes {
        warp[lane].state = State::Running;
    }
}

/// The lane whose value one gets, and whether that is the one that was asked for: the rule of the
/// reference of PTX, by its names.
fn source(kind: Shuffle, lane: usize, b: u64, c: u64) -> (usize, bool) {
    let (lane, b) = (lane as i64, (b & 31) as i64);
    let (clamp, segment) = ((c & 31) as i64, (c >> 8 & 31) as i64);
    let (most, least) = ((lane & segment) | (clamp & !segment), lane & segment);
    let (from, is_there) = match kind {
        Shuffle::Up => (lane - b, lane - b >= most),
        Shuffle::Down => (lane + b, lane + b <= most),
        Shuffle::Butterfly => (lane ^ b, lane ^ b <= most),
        Shuffle::Lane => (least | (b & !segment), least | (b & !segment) <= most),
    };
    (if is_there { from } else { lane } as usize & 31, is_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_find_their_source() {
        // Of whole warps: a clamp of 31, of none below zero for `up`.
        assert_eq!(source(Shuffle::Butterfly, 5, 16, 31), (21, true));
        assert_eq!(source(Shuffle::Down, 30, 4, 31), (30, false));
        assert_eq!(source(Shuffle::Up, 1, 2, 0), (1, false));
        assert_eq!(source(Shuffle::Lane, 9, 3, 31), (3, true));
    }
}
