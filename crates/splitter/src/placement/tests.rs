//! The words of the refusals; the placements themselves are golden.

use super::*;

#[test]
fn refusals_have_the_numbers() {
    let refused = |rank, pp_size, num_stages, style| {
        stage_ids_this_rank(rank, pp_size, num_stages, style).unwrap_err().to_string()
    };
    assert_eq!(
        refused(2, 2, 4, PlacementStyle::Loop),
        "rank 2 is not one of the 2 ranks of the pipeline"
    );
    assert_eq!(
        refused(0, 0, 0, PlacementStyle::V),
        "rank 0 is not one of the 0 ranks of the pipeline"
    );
    assert_eq!(refused(0, 4, 6, PlacementStyle::Loop), "4 ranks cannot share 6 stages evenly");
    assert_eq!(
        refused(0, 4, 4, PlacementStyle::V),
        "a V placement has 2 stages per rank, so 4 ranks have 8, not 4"
    );
}

#[test]
fn every_stage_is_on_one_rank() {
    for (style, num_stages) in [(PlacementStyle::Loop, 15), (PlacementStyle::V, 10)] {
        let mut stages: Vec<usize> = (0..5)
            .flat_map(|rank| stage_ids_this_rank(rank, 5, num_stages, style).unwrap())
            .collect();
        stages.sort_unstable();
        assert_eq!(stages, (0..num_stages).collect::<Vec<_>>());
    }
}

#[test]
fn more_stages_than_can_be_listed_are_refused() {
    let error = stage_ids_this_rank(0, 1, usize::MAX, PlacementStyle::Loop).unwrap_err();
    assert_eq!(error, Error::TooMany { what: "stages", number: usize::MAX });
    let error = stage_ids_this_rank(0, 1, 1 << 21, PlacementStyle::Loop).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2097152 stages are more than can be listed, the limit is 1048576"
    );
}
