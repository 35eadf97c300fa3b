//! Messages between two ranks.

use autopipe_runtime::communicator::Tag;
use autopipe_runtime::{Communicator, Error};
use candle_core::{DType, Device, Tensor};

use super::{neighbours, tensor, value};

pub(crate) fn messages_of_a_tag_arrive_in_order_and_tags_do_not_mix(world: &dyn Communicator) {
    let (before, after) = neighbours(world);
    for (x, tag) in [(1.0, 7), (2.0, 8), (3.0, 7)] {
        world.send(vec![tensor(x)], after, Tag(tag)).unwrap();
    }
    let got: Vec<f32> = [8, 7, 7].map(|tag| value(&world.recv(before, Tag(tag)).unwrap())).to_vec();
    assert_eq!(got, [2.0, 1.0, 3.0]);
    for x in 0..200 {
        world.send(vec![tensor(x as f32)], after, Tag(u64::MAX)).unwrap();
    }
    for x in 0..200 {
        assert_eq!(value(&world.recv(before, Tag(u64::MAX)).unwrap()), x as f32);
    }
}

pub(crate) fn a_rank_may_send_to_itself(world: &dyn Communicator) {
    let own = world.rank();
    world.send(vec![tensor(5.0 + own as f32)], own, Tag(0)).unwrap();
    assert_eq!(value(&world.recv(own, Tag(0)).unwrap()), 5.0 + own as f32);
}

pub(crate) fn a_message_has_any_number_of_tensors(world: &dyn Communicator) {
    let (before, after) = neighbours(world);
    for count in [0, 1, 5] {
        let tensors = (0..count).map(|i| tensor(i as f32)).collect();
        world.send(tensors, after, Tag(1)).unwrap();
    }
    for count in [0, 1, 5] {
        let tensors = world.recv(before, Tag(1)).unwrap();
        let got: Vec<f32> = tensors.chunks(1).map(value).collect();
        assert_eq!(got, (0..count).map(|i| i as f32).collect::<Vec<_>>());
    }
}

/// The numbers of a tensor, as bits.
fn bits(tensor: &Tensor) -> Vec<u64> {
    let flat = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::F32 => flat.to_vec1::<f32>().unwrap().iter().map(|x| x.to_bits().into()).collect(),
        DType::I64 => flat.to_vec1::<i64>().unwrap().iter().map(|x| x.cast_unsigned()).collect(),
        // Every number of the smaller types is one of these.
        _ => {
            let wide = flat.to_dtype(DType::F64).unwrap();
            wide.to_vec1::<f64>().unwrap().iter().map(|x| x.to_bits()).collect()
        }
    }
}

pub(super) fn assert_same(got: &Tensor, expected: &Tensor) {
    assert_eq!(got.dtype(), expected.dtype());
    assert_eq!(got.dims(), expected.dims());
    assert_eq!(bits(got), bits(expected), "{:?} {:?}", expected.dtype(), expected.dims());
}

/// Sends tensors around the ring and expects equal ones.
fn pass_on(world: &dyn Communicator, tensors: &[Tensor]) {
    let (before, after) = neighbours(world);
    world.send(tensors.to_vec(), after, Tag(2)).unwrap();
    let got = world.recv(before, Tag(2)).unwrap();
    assert_eq!(got.len(), tensors.len());
    for (got, expected) in got.iter().zip(tensors) {
        assert_same(got, expected);
    }
}

pub(crate) fn tensors_of_every_type_and_shape_arrive_bit_by_bit(world: &dyn Communicator) {
    let dtypes =
        [DType::F32, DType::F64, DType::BF16, DType::F16, DType::I64, DType::U32, DType::U8];
    let shapes: [&[usize]; 6] = [&[], &[1], &[7], &[0], &[2, 0, 3], &[2, 3, 1, 2]];
    let mut tensors = Vec::new();
    for dtype in dtypes {
        for shape in shapes {
            let len = shape.iter().product::<usize>();
            let numbers: Vec<f64> = (0..len).map(|i| i as f64 * 17.25 + 1.0 / 3.0).collect();
            let numbers = Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap();
            tensors.push(numbers.to_dtype(dtype).unwrap());
        }
    }
    let odd = [f32::NAN, f32::from_bits(0xffc0_1234), -0.0, f32::INFINITY, f32::from_bits(1)];
    tensors.push(Tensor::new(&odd, &Device::Cpu).unwrap());
    tensors.push(Tensor::new(&[i64::MIN, -1, i64::MAX], &Device::Cpu).unwrap());
    tensors.push(Tensor::new(&[u32::MAX], &Device::Cpu).unwrap());
    pass_on(world, &tensors);
}

pub(crate) fn views_arrive_as_what_they_show(world: &dyn Communicator) {
    let numbers: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let whole = Tensor::from_vec(numbers, (2, 3, 4), &Device::Cpu).unwrap();
    pass_on(
        world,
        &[
            whole.transpose(0, 2).unwrap(),
            whole.narrow(2, 1, 2).unwrap(),
            whole.get(1).unwrap(),
            whole.get(1).unwrap().t().unwrap(),
            whole.narrow(1, 2, 1).unwrap().broadcast_as((2, 5, 4)).unwrap(),
        ],
    );
}

pub(crate) fn a_message_that_has_arrived_is_seen(world: &dyn Communicator) {
    let (before, after) = neighbours(world);
    let posted = world.post_recv(before, Tag(3)).unwrap();
    assert!(!world.has_arrived(&posted).unwrap());
    world.barrier().unwrap();
    world.send(vec![tensor(1.0)], after, Tag(3)).unwrap();
    while !world.has_arrived(&posted).unwrap() {
        std::thread::yield_now();
    }
    assert_eq!(value(&world.wait(posted).unwrap()), 1.0);
}

pub(crate) fn ranks_outside_the_group_are_refused(world: &dyn Communicator) {
    let size = world.size();
    assert_eq!(
        world.send(Vec::new(), size, Tag(0)).unwrap_err().to_string(),
        format!("rank {size} is not in a communicator of {size} ranks")
    );
    assert!(matches!(world.recv(9, Tag(0)), Err(Error::NoSuchRank { rank: 9, .. })));
}

/// To all others at once, and something small behind it.
pub(crate) fn a_large_message_arrives_whole(world: &dyn Communicator, num_bytes: usize) {
    let own = world.rank();
    let make = |rank: usize| -> Vec<u32> {
        let step = u32::try_from(2 * rank + 1).unwrap();
        std::iter::successors(Some(0u32), |x| Some(x.wrapping_add(step)))
            .take(num_bytes / 4)
            .collect()
    };
    let large = Tensor::from_vec(make(own), num_bytes / 4, &Device::Cpu).unwrap();
    let others = || (0..world.size()).filter(|&rank| rank != own);
    for to in others() {
        world.send(vec![tensor(1.0), large.clone()], to, Tag(4)).unwrap();
        world.send(vec![tensor(2.0)], to, Tag(4)).unwrap();
    }
    for from in others() {
        let got = world.recv(from, Tag(4)).unwrap();
        assert_eq!(value(&got), 1.0);
        assert!(got[1].to_vec1::<u32>().unwrap() == make(from), "from rank {from}");
        assert_eq!(value(&world.recv(from, Tag(4)).unwrap()), 2.0);
    }
}
