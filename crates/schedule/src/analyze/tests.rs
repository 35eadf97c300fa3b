//! Analyses of programs small enough to work out by hand.

use super::{Analysis, Bubble, Place, analyze, compare};
use crate::csv::{read_plan, read_program};
use crate::{Costs, Rank, Timeline, lower, simulate, simulate_plan, validate};

fn analysed(text: &str, costs: &str) -> (Timeline, Analysis) {
    let costs: Costs = costs.parse().unwrap();
    let program = validate(read_program(text.as_bytes()).unwrap()).unwrap();
    let timeline = simulate(&program, &costs);
    let analysis = analyze(&timeline, &costs);
    (timeline, analysis)
}

fn names(timeline: &Timeline, places: &[Place]) -> Vec<String> {
    let name = |place: &Place| timeline.row(place.rank)[place.step].action.to_string();
    places.iter().map(name).collect()
}

const TWO: &str = "0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0\n";

#[test]
fn there_and_back() {
    let (timeline, analysis) = analysed(TWO, "F=2,B=3,comm=0.5");
    assert_eq!(timeline.makespan(), 11.0);
    let path = names(&timeline, &analysis.critical_path);
    assert_eq!(path, ["0F0", "0SEND_F0", "1F0", "1B0", "1SEND_B0", "0B0"]);
    assert_eq!(analysis.critical_length, 11.0);
    // Receives may be posted as late as their messages arrive.
    assert_eq!(analysis.slack, [[0.0, 0.0, 6.0, 0.0], [2.5, 0.0, 0.0, 0.0]]);
    let needs = |rank: usize, step: usize| names(&timeline, &analysis.dependencies[rank][step]);
    assert_eq!(needs(0, 0), [""; 0]);
    assert_eq!(needs(0, 3), ["0RECV_B0", "0F0"]);
    assert_eq!(needs(1, 0), ["0SEND_F0"]);
    assert_eq!(needs(1, 1), ["1RECV_F0"]);
    assert_eq!(needs(1, 3), ["1B0"]);
}

#[test]
fn idle_time_has_its_causes() {
    let (_, analysis) = analysed(TWO, "F=2,B=3,comm=0.5");
    let bubble = |warm_up, dependency, communication, tail| Bubble {
        warm_up,
        dependency,
        communication,
        tail,
    };
    assert_eq!(analysis.bubble, [bubble(0.0, 5.5, 0.5, 0.0), bubble(2.5, 0.0, 0.0, 3.5)]);

    let plan = read_plan("0F0,0B0\n1F0,1B0\n".as_bytes()).unwrap();
    let costs = "F=2,B=3,comm=0.5".parse().unwrap();
    let planned = analyze(&simulate_plan(&plan, &costs), &costs);
    assert_eq!(planned.bubble, analysis.bubble, "with sends and receives or without");
}

#[test]
fn a_late_receive_holds_a_rendezvous_up() {
    let text = "0F0,0SEND_F0,0F1,0SEND_F1,0WAIT_SEND_F0,0WAIT_SEND_F1\n\
                1RECV_F0,1F0,1RECV_F1,1F1\n";
    let (buffered, _) = analysed(text, "F=1:4,comm=0.5");
    let (met, analysis) = analysed(text, "F=1:4,comm=0.5,communication=rendezvous");
    assert_eq!((buffered.makespan(), met.makespan()), (9.5, 10.0));
    // 1RECV_F1 is posted behind 1F0 only, at 5.5, and the message takes another half.
    let path = names(&met, &analysis.critical_path);
    assert_eq!(path, ["0F0", "0SEND_F0", "1F0", "1RECV_F1", "1F1"]);
    let communication: Vec<f64> = analysis.bubble.iter().map(|b| b.communication).collect();
    assert_eq!(communication, [4.0, 0.5], "rank 0 waits from 2 to 6 for its sends");
}

#[test]
fn messages_keep_their_place_in_a_queue() {
    // The receive of the gradient stands in front of the second activation.
    let text = "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n\
                1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1\n";
    let (_, free) = analysed(text, "comm=2,communication=rendezvous");
    let (queued, analysis) = analysed(text, "comm=2,communication=nccl");
    assert_eq!(queued.row(Rank::new(1))[2].end, 6.0, "1RECV_F1 is posted at 4");
    assert!(analysis.critical_length >= free.critical_length);
    assert_eq!(analysis.critical_length, queued.makespan());
}

#[test]
fn collectives_run_beside_the_computations() {
    let text = "0UNSHARD,1UNSHARD,0F0,1F0,1B0,1REDUCE_GRAD,0B0,0REDUCE_GRAD,0WAIT_REDUCE_GRAD,\
                1WAIT_REDUCE_GRAD,0RESHARD,1RESHARD,0OPTIMIZER_STEP,1OPTIMIZER_STEP\n";
    let costs = "unshard=2,reduce_grad=3,optimizer_step=0.5,reshard=0.25";
    let (timeline, analysis) = analysed(text, costs);
    let at = |action: &str| {
        let mut spans = timeline.row(Rank::new(0)).iter();
        let span = spans.find(|span| span.action.to_string() == action).unwrap();
        (span.start, span.end)
    };
    assert_eq!([at("0UNSHARD"), at("1UNSHARD")], [(0.0, 2.0), (0.0, 4.0)]);
    assert_eq!([at("0F0"), at("1F0"), at("1B0")], [(2.0, 3.0), (4.0, 5.0), (5.0, 7.0)]);
    assert_eq!([at("1REDUCE_GRAD"), at("0REDUCE_GRAD")], [(7.0, 10.0), (9.0, 13.0)]);
    assert_eq!([at("0WAIT_REDUCE_GRAD"), at("0RESHARD")], [(9.0, 13.0), (13.0, 13.25)]);
    assert_eq!(timeline.makespan(), 14.5);
    let path = names(&timeline, &analysis.critical_path);
    assert_eq!(path[..4], ["0UNSHARD", "1F0", "1B0", "1REDUCE_GRAD"]);
    assert_eq!(analysis.slack[0][6], 1.0, "0B0 has time until the other sum is done");
}

#[test]
fn tied_gradients_wait_for_the_last_rank() {
    let text = "0F0,0SEND_F0,0RECV_B0,0B0,0REDUCE_TIED0\n\
                1RECV_F0,1F0,1B0,1SEND_B0,1REDUCE_TIED0\n";
    let (timeline, analysis) = analysed(text, "reduce_tied=1");
    let ends: Vec<(f64, f64)> =
        timeline.rows().iter().map(|row| row[4]).map(|span| (span.start, span.end)).collect();
    assert_eq!(ends, [(6.0, 7.0), (4.0, 7.0)]);
    assert_eq!(analysis.slack[1][4], 2.0);
}

#[test]
fn memory_over_time() {
    let costs: Costs = "activation=10,held_for_w=4".parse().unwrap();
    let plan = read_plan("0F0,0F1,0I0,0W0,0B1\n".as_bytes()).unwrap();
    let timeline = simulate_plan(&plan, &costs);
    let curve = |costs: &Costs| -> Vec<(f64, usize, f64)> {
        let points = timeline.memory(costs)[0].clone();
        points.into_iter().map(|point| (point.time, point.activations, point.bytes)).collect()
    };
    assert_eq!(
        curve(&costs),
        [(0.0, 1, 10.0), (1.0, 2, 20.0), (3.0, 2, 14.0), (4.0, 1, 10.0), (6.0, 0, 0.0)]
    );
    assert_eq!(timeline.peak_bytes(&costs), [20.0]);

    let costs: Costs = "activation=10,held_for_r=1".parse().unwrap();
    let plan = lower(&read_plan("0F0,0F1,0R0,0B0,0R1,0B1\n".as_bytes()).unwrap());
    let timeline = simulate(&validate(plan).unwrap(), &costs);
    let bytes: Vec<f64> = timeline.memory(&costs)[0].iter().map(|point| point.bytes).collect();
    assert_eq!(bytes, [10.0, 1.0, 11.0, 2.0, 11.0, 1.0, 10.0, 0.0]);
    assert_eq!(timeline.peak_activations(), [2]);
}

#[test]
fn what_only_one_run_has_is_listed() {
    let plan = read_plan("0F0,0B0\n1F0,1B0\n".as_bytes()).unwrap();
    let planned = simulate_plan(&plan, &Costs::UNIT);
    let lowered = simulate(&validate(lower(&plan)).unwrap(), &Costs::UNIT);
    let comparison = compare(&lowered, &planned);
    let only = names(&lowered, &comparison.only_measured);
    assert_eq!(only, ["0SEND_F0", "0RECV_B0", "1RECV_F0", "1SEND_B0"]);
    assert!(comparison.only_simulated.is_empty());
    assert_eq!(compare(&planned, &lowered).only_simulated, comparison.only_measured);
    assert_eq!(comparison.ranks[0].measured_work, comparison.ranks[0].simulated_work);
}

#[test]
fn peaks_and_means_stand_side_by_side() {
    let plan = read_plan("0F0,0F1,0I0,0W0,0B1\n1F0,1F1,1I0,1W0,1B1\n".as_bytes()).unwrap();
    let program = validate(lower(&plan)).unwrap();
    let sized = |text: &str| {
        let costs: Costs = text.parse().unwrap();
        simulate(&program, &costs).with_sizes(&costs)
    };
    let run = sized("F=2,I=1.5,activation=10:20,resident=1000,workspace_b=5");
    let model = sized("F=1,activation=10:20,resident=1000");
    assert_eq!(
        compare(&run, &model).to_string(),
        "                measured  predicted   difference
makespan            13.5          9       +50.0%
F (4)                  2          1      +100.0%
I (2)                1.5          1       +50.0%
W (2)                  1          1        +0.0%
B (2)                2.5          2       +25.0%
peak of rank 0      1025       1020        +0.5%
peak of rank 1      1045       1040        +0.5%
idle               33.3%      33.3%  +0.0 points
"
    );
    let unsized_model = simulate(&program, &Costs::UNIT);
    let comparison = compare(&run, &unsized_model);
    assert_eq!(comparison.ranks[1].measured_peak, Some(1045.0));
    assert_eq!(comparison.ranks[1].simulated_peak, None);
    assert!(!comparison.to_string().contains("peak"), "there is nothing to compare with");
}
