//! Why no rank can go on: the shortest circle of ranks of which each waits for the next.

use std::collections::VecDeque;

use super::Wait;

/// A rank that cannot go on: what it is stopped at, and for each thing that it waits for the rank
/// and the action there. Ranks that are not stopped have none.
pub(super) type Waits = Vec<Vec<Wait>>;

/// From how many ranks a shorter circle is looked for.
const MAX_STARTS: usize = 512;

/// The shortest circle. Whoever waits, waits for somebody who waits, so there is one.
pub(super) fn shortest(waits: &Waits) -> Vec<Wait> {
    let circles = circles(waits);
    let starts = circles.iter().flatten().take(MAX_STARTS);
    let shorter = starts.filter_map(|&start| around(waits, start));
    let first = circles.first().map(|circle| {
        let wait = |&rank: &usize| waits[rank].first().copied();
        circle.iter().filter_map(wait).collect::<Vec<_>>()
    });
    let all = shorter.chain(first);
    all.min_by_key(Vec::len).expect("a rank that waits has one to wait for, which waits too")
}

/// The circles that come about if each rank waits for the first of its reasons only.
fn circles(waits: &Waits) -> Vec<Vec<usize>> {
    let mut circles = Vec::new();
    // By which walk a rank was visited, and when.
    let mut visited: Vec<Option<(usize, usize)>> = vec![None; waits.len()];
    for start in 0..waits.len() {
        let (mut rank, mut path) = (start, Vec::new());
        while let Some(wait) = waits[rank].first() {
            match visited[rank] {
                Some((walk, when)) if walk == start => {
                    circles.push(path.split_off(when));
                    break;
                }
                Some(_) => break,
                None => {}
            }
            visited[rank] = Some((start, path.len()));
            path.push(rank);
            rank = wait.needs.rank.index();
        }
    }
    circles.sort_by_key(Vec::len);
    circles
}

/// The shortest way from a rank back to it.
fn around(waits: &Waits, start: usize) -> Option<Vec<Wait>> {
    let mut from: Vec<Option<(usize, &Wait)>> = vec![None; waits.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(rank) = queue.pop_front() {
        for wait in &waits[rank] {
            let next = wait.needs.rank.index();
            if from[next].is_some() {
                continue;
            }
            from[next] = Some((rank, wait));
            if next != start {
                queue.push_back(next);
                continue;
            }
            let (mut path, mut at) = (Vec::new(), start);
            while let Some((rank, wait)) = from[at] {
                path.push(*wait);
                at = rank;
                if at == start {
                    break;
                }
            }
            path.reverse();
            return Some(path);
        }
    }
    None
}
