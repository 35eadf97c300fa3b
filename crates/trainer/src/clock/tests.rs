//! Laps are measured from one to the next, the whole from the start; no test waits.

use std::time::Duration;

use super::*;

#[test]
fn laps_follow_each_other_and_the_whole_goes_on() {
    let mut watch = Stopwatch::start();
    let after = |seconds: f64| watch.started + Duration::from_secs_f64(seconds);
    let (two, five) = (after(2.0), after(5.0));
    assert_eq!(watch.lap_at(two), 2.0);
    assert_eq!(watch.seconds_at(two), 2.0);
    assert_eq!(watch.lap_at(five), 3.0);
    assert_eq!(watch.seconds_at(five), 5.0);
}

#[test]
fn a_clock_that_goes_back_shows_nothing() {
    let mut watch = Stopwatch::start();
    watch.lap_at(watch.started + Duration::from_secs(2));
    assert_eq!(watch.lap_at(watch.started + Duration::from_secs(1)), 0.0);
}

#[test]
fn the_real_clock_runs() {
    let mut watch = Stopwatch::start();
    while watch.seconds() == 0.0 {}
    assert!(watch.lap() > 0.0);
}
