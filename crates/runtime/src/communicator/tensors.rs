//! What all ranks of a group do with tensors, by way of messages, which every transport has.

use candle_core::{DType, Tensor};

use super::{Communicator, Reduction, Slice, Tag};
use crate::Error;

/// Up to so many numbers, ranks send each other whole tensors: one message's time instead of two.
const FEW: usize = 4096;

pub(super) fn all_reduce<C: Communicator + ?Sized>(
    comm: &C,
    tensor: &Tensor,
    reduction: Reduction,
    tag: Tag,
) -> Result<Tensor, Error> {
    let tensor = tensor.detach();
    if comm.size() == 1 {
        return Ok(tensor);
    }
    if tensor.elem_count() <= FEW {
        let parts = exchange(comm, tag, |_| Ok(tensor.clone()))?;
        return combine(comm, &parts, &tensor, reduction);
    }
    // Each rank combines a slice and sends it to all, so that each number travels twice, whatever
    // the number of ranks.
    let flat = tensor.flatten_all().map_err(Error::from)?;
    let own = scatter(comm, &flat, reduction, tag)?;
    let slices = exchange(comm, tag, |_| Ok(own.clone()))?;
    for (rank, slice) in slices.iter().enumerate() {
        let expected = Slice::of(flat.elem_count(), rank, comm.size()).cut(&flat);
        check(comm, rank, slice, &expected.map_err(Error::from)?)?;
    }
    let whole = Tensor::cat(&slices, 0).and_then(|whole| whole.reshape(tensor.shape()));
    whole.map_err(Error::from)
}

pub(super) fn reduce_scatter<C: Communicator + ?Sized>(
    comm: &C,
    tensor: &Tensor,
    reduction: Reduction,
    tag: Tag,
) -> Result<Tensor, Error> {
    // A tensor without dimensions has no rows to share out.
    tensor.dim(0).map_err(Error::from)?;
    let tensor = tensor.detach();
    if comm.size() == 1 { Ok(tensor) } else { scatter(comm, &tensor, reduction, tag) }
}

pub(super) fn all_gather<C: Communicator + ?Sized>(
    comm: &C,
    tensor: &Tensor,
    tag: Tag,
) -> Result<Vec<Tensor>, Error> {
    exchange(comm, tag, |_| Ok(tensor.detach()))
}

pub(super) fn broadcast<C: Communicator + ?Sized>(
    comm: &C,
    tensor: &Tensor,
    from: usize,
    tag: Tag,
) -> Result<Tensor, Error> {
    let tensor = tensor.detach();
    if from == comm.rank() {
        for to in (0..comm.size()).filter(|&to| to != from) {
            comm.send(vec![tensor.clone()], to, tag)?;
        }
        return Ok(tensor);
    }
    let got = only(comm, from, comm.recv(from, tag)?)?;
    check(comm, from, &got, &tensor)?;
    Ok(got)
}

/// What the ranks make together of this rank's part of a tensor, along dimension 0.
fn scatter<C: Communicator + ?Sized>(
    comm: &C,
    tensor: &Tensor,
    reduction: Reduction,
    tag: Tag,
) -> Result<Tensor, Error> {
    let len = tensor.dim(0).map_err(Error::from)?;
    let cut = |rank| Slice::of(len, rank, comm.size()).cut(tensor).map_err(Error::from);
    let parts = exchange(comm, tag, cut)?;
    combine(comm, &parts, &cut(comm.rank())?, reduction)
}

/// Sends each rank what is for it, and waits for what they have for this one; by rank.
fn exchange<C: Communicator + ?Sized>(
    comm: &C,
    tag: Tag,
    part: impl Fn(usize) -> Result<Tensor, Error>,
) -> Result<Vec<Tensor>, Error> {
    let here = comm.rank();
    let others = || (0..comm.size()).filter(|&rank| rank != here);
    let posted = others().map(|from| comm.post_recv(from, tag)).collect::<Result<Vec<_>, _>>()?;
    for to in others() {
        comm.send(vec![part(to)?], to, tag)?;
    }
    let mut by_rank = Vec::with_capacity(comm.size());
    for posted in posted {
        let from = posted.from;
        by_rank.push(only(comm, from, comm.wait(posted)?)?);
    }
    by_rank.insert(here, part(here)?);
    Ok(by_rank)
}

/// The one tensor of a message.
fn only<C: Communicator + ?Sized>(
    comm: &C,
    from: usize,
    mut message: Vec<Tensor>,
) -> Result<Tensor, Error> {
    match (message.pop(), message.len()) {
        (Some(tensor), 0) => Ok(tensor),
        (last, more) => Err(Error::UnequalTensors {
            rank: comm.members()[from],
            got: format!("{} tensors", more + usize::from(last.is_some())),
            expected: "1 tensor".to_owned(),
        }),
    }
}

fn check<C: Communicator + ?Sized>(
    comm: &C,
    rank: usize,
    got: &Tensor,
    expected: &Tensor,
) -> Result<(), Error> {
    if got.dims() == expected.dims() && got.dtype() == expected.dtype() {
        return Ok(());
    }
    let words = |tensor: &Tensor| format!("{:?} of {:?}", tensor.dims(), tensor.dtype());
    let rank = comm.members()[rank];
    Err(Error::UnequalTensors { rank, got: words(got), expected: words(expected) })
}

/// Combines what ranks have in their order; `own` says of what shape and dtype it is.
fn combine<C: Communicator + ?Sized>(
    comm: &C,
    parts: &[Tensor],
    own: &Tensor,
    reduction: Reduction,
) -> Result<Tensor, Error> {
    for (rank, part) in parts.iter().enumerate() {
        check(comm, rank, part, own)?;
    }
    if own.elem_count() == 0 {
        // A GPU has no kernel for nothing.
        return Ok(own.clone());
    }
    reduce(parts, own.dtype(), reduction).map_err(Error::from)
}

fn reduce(parts: &[Tensor], dtype: DType, reduction: Reduction) -> candle_core::Result<Tensor> {
    let wide = match (dtype, reduction) {
        (DType::BF16 | DType::F16, Reduction::Sum) => DType::F32,
        _ => dtype,
    };
    let mut parts = parts.iter().map(|part| part.to_dtype(wide));
    let first = parts.next().expect("a group has a rank")?;
    let whole = parts.try_fold(first, |whole, part| match reduction {
        Reduction::Sum => whole + part?,
        Reduction::Max => largest(&whole, &part?),
    })?;
    whole.to_dtype(dtype)
}

/// The larger of each two numbers, NaN where one is none: candle's maximum passes over it.
fn largest(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    let largest = a.maximum(b)?;
    let largest = b.ne(b)?.where_cond(b, &largest)?;
    a.ne(a)?.where_cond(a, &largest)
}
