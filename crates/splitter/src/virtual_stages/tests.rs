//! The words of the refusals, and numbers at the edge; the numbers themselves are golden.

use super::*;

fn refused(
    num_layers: usize,
    layers_per_stage: usize,
    pp_size: usize,
    style: ScheduleStyle,
    round_to: Option<RoundTo>,
) -> String {
    calculate_virtual_stages(num_layers, Some(layers_per_stage), pp_size, style, round_to)
        .unwrap_err()
        .to_string()
}

#[test]
fn refusals_say_what_to_do() {
    use ScheduleStyle::{Multi, Single};
    assert_eq!(refused(8, 2, 0, Multi, None), "the pipeline has 0 ranks, it needs at least 1");
    assert_eq!(
        refused(8, 0, 2, Multi, None),
        "layers_per_stage is 0, a stage needs at least 1 layer"
    );
    assert_eq!(
        refused(32, 5, 4, Multi, None),
        "32 layers at 5 per stage make 7 stages, and 4 ranks cannot share these evenly; set \
         round_virtual_stages_to_pp_multiple to `up` or `down`, or leave layers_per_stage out"
    );
    assert_eq!(
        refused(8, 2, 2, Single, None),
        "the schedule has 1 stage per rank, 8 layers at 2 per stage make 2 on each of 2 ranks; \
         leave layers_per_stage out to get 1"
    );
    assert_eq!(
        refused(7, 32, 3, Multi, Some(RoundTo::Down)),
        "the schedule has at least 2 stages per rank, 7 layers at 32 per stage make 0 on each of \
         3 ranks; use fewer layers per stage, or leave layers_per_stage out to get 2"
    );
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let all = usize::MAX;
    let too_many = Err(Error::TooManyRanks { pp_size: all });
    assert_eq!(calculate_virtual_stages(1, None, all, ScheduleStyle::Multi, None), too_many);
    let pp_size = all - 1;
    assert_eq!(
        calculate_virtual_stages(all, Some(1), pp_size, ScheduleStyle::Multi, Some(RoundTo::Up)),
        Err(Error::TooManyRanks { pp_size })
    );
    assert_eq!(
        calculate_virtual_stages(all, Some(all), 1, ScheduleStyle::Single, None),
        Ok((1, 1))
    );
}
