//! The conformance suite of communicators: what every transport has to do, for worlds of two ranks
//! and more.
//!
//! Each check is run by all ranks of a world, which it leaves as it found it, but for messages that
//! nobody fetches: a reset follows.

use autopipe_runtime::communicator::Tag;
use autopipe_runtime::{Communicator, Error, Failure};
use candle_core::{Device, Tensor};

mod endings;
mod failures;
mod messages;
mod tensors;
mod together;

pub(crate) use endings::{
    a_rank_that_has_ended_is_not_waited_for, a_reset_names_who_does_not_come,
    what_does_not_come_is_an_error_that_names_the_sender,
};
pub(crate) use messages::a_large_message_arrives_whole;
pub(crate) use {failures::*, messages::*, tensors::*, together::*};

/// Gives the names of all checks to a macro.
macro_rules! for_all_checks {
    ($run:ident) => {
        $run! {
            messages_of_a_tag_arrive_in_order_and_tags_do_not_mix,
            a_rank_may_send_to_itself,
            a_message_has_any_number_of_tensors,
            tensors_of_every_type_and_shape_arrive_bit_by_bit,
            views_arrive_as_what_they_show,
            a_message_that_has_arrived_is_seen,
            ranks_outside_the_group_are_refused,
            reductions_see_every_rank_in_order,
            uneven_reductions_are_refused,
            barriers_and_words_reach_every_rank,
            sums_of_tensors_are_in_order_and_rounded_once,
            maxima_of_tensors_do_not_pass_over_a_nan,
            tensors_are_shared_out_gathered_and_broadcast,
            tensors_that_differ_are_refused,
            a_forward_and_a_backward_sum_at_once,
            a_split_is_a_world_of_its_own,
            splits_of_splits_do_not_mix,
            an_abort_ends_every_wait_in_every_group,
            of_several_aborts_all_hear_the_same,
            a_collective_that_one_rank_went_through_succeeds_on_all,
            a_reset_forgets_failure_and_messages_in_every_group,
            who_waits_for_one_that_recovers_is_told,
        }
    };
}
pub(crate) use for_all_checks;

pub(crate) fn tensor(value: f32) -> Tensor {
    Tensor::new(&[value], &Device::Cpu).unwrap()
}

pub(crate) fn value(tensors: &[Tensor]) -> f32 {
    tensors[0].to_vec1::<f32>().unwrap()[0]
}

/// The ranks before and after this one in a ring.
pub(crate) fn neighbours(comm: &dyn Communicator) -> (usize, usize) {
    let (rank, size) = (comm.rank(), comm.size());
    ((rank + size - 1) % size, (rank + 1) % size)
}

pub(crate) fn failure(rank: usize, cause: &str) -> Failure {
    Failure { rank, at: None, cause: cause.to_owned() }
}

/// What a rank hears when it waits for what never comes.
pub(crate) fn hear(comm: &dyn Communicator) -> Error {
    loop {
        let waited = comm.barrier().and_then(|()| comm.recv(comm.rank(), Tag(9)));
        if let Err(error) = waited {
            return error;
        }
    }
}
