//! The two usual placements, and what is none.

use super::{Placement, PlacementError, PlacementStyle};
use crate::{Rank, Stage};

fn indices(placement: &Placement) -> Vec<Vec<usize>> {
    (0..placement.num_ranks())
        .map(|rank| placement.stages_of(Rank::new(rank)).iter().map(|s| s.index()).collect())
        .collect()
}

#[test]
fn loop_deals_in_turn() {
    assert_eq!(indices(&Placement::loop_(1, 1).unwrap()), [[0]]);
    assert_eq!(indices(&Placement::loop_(4, 1).unwrap()), [[0], [1], [2], [3]]);
    assert_eq!(indices(&Placement::loop_(2, 3).unwrap()), [[0, 2, 4], [1, 3, 5]]);
}

#[test]
fn v_goes_there_and_back() {
    assert_eq!(indices(&Placement::v(1).unwrap()), [[0, 1]]);
    assert_eq!(indices(&Placement::v(4).unwrap()), [[0, 7], [1, 6], [2, 5], [3, 4]]);
}

#[test]
fn snake_goes_there_and_back_and_there() {
    assert_eq!(indices(&Placement::snake(1, 3).unwrap()), [[0, 1, 2]]);
    assert_eq!(indices(&Placement::snake(2, 3).unwrap()), [[0, 3, 4], [1, 2, 5]]);
    assert_eq!(
        indices(&Placement::snake(3, 4).unwrap()),
        [[0, 5, 6, 11], [1, 4, 7, 10], [2, 3, 8, 9]]
    );
    assert_eq!(Placement::snake(4, 1), Placement::loop_(4, 1));
    assert_eq!(Placement::snake(4, 2), Placement::v(4));
}

#[test]
fn styles_by_name() {
    for style in PlacementStyle::ALL {
        assert_eq!(style.to_string().to_uppercase().parse(), Ok(style));
        assert_eq!(style.place(3, 2).unwrap().num_stages(), 6);
    }
    assert_eq!(
        "zigzag".parse::<PlacementStyle>().unwrap_err().to_string(),
        "there is no placement `zigzag`, the styles are loop, v and snake"
    );
    assert_eq!(
        PlacementStyle::V.place(3, 4).unwrap_err().to_string(),
        "a V has 2 stages per rank, not 4; a snake has any number"
    );
}

#[test]
fn both_directions_agree() {
    for placement in
        [Placement::loop_(3, 4).unwrap(), Placement::v(5).unwrap(), Placement::snake(4, 3).unwrap()]
    {
        for stage in (0..placement.num_stages()).map(Stage::new) {
            assert!(placement.stages_of(placement.rank_of(stage)).contains(&stage));
        }
    }
    assert!(Placement::v(2).unwrap().stages_of(Rank::new(2)).is_empty());
}

#[test]
fn what_is_no_placement() {
    let text = |result: Result<Placement, PlacementError>| result.unwrap_err().to_string();
    let gap = "rank 0 has no stage; number the ranks that have one from 0 without a gap";
    assert_eq!(text(Placement::new(vec![])), gap);
    assert_eq!(text(Placement::loop_(0, 2)), gap);
    assert_eq!(text(Placement::v(0)), gap);
    assert_eq!(text(Placement::new(vec![Rank::new(1)])), gap);
    assert_eq!(text(Placement::loop_(70_000, 1)), "70000 stages are too many, the limit is 65536");
    assert!(Placement::loop_(usize::MAX, 2).is_err());
    assert!(Placement::v(usize::MAX).is_err());
    assert!(Placement::snake(usize::MAX, usize::MAX).is_err());
    assert_eq!(text(Placement::snake(0, 2)), gap);
}
