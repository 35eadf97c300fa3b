//! Tensors of ranks that are threads, each with a stream of its own on a GPU.

use autopipe_runtime::communicator::{Reduction, Tag};
use autopipe_runtime::{Communicator, Error, ThreadOptions, gpu_of_rank, threads};
use candle_core::{DType, Device, Tensor};

use super::device::gpu;

/// Runs `body` on so many ranks, each with its device.
fn run(size: usize, body: impl Fn(&dyn Communicator, &Device) -> Result<(), Error> + Sync) {
    threads(size, &ThreadOptions::default(), |mut world| {
        let device = gpu_of_rank(world.rank()).unwrap().unwrap();
        world.set_device(&device);
        body(&*world, &device)
    })
    .unwrap();
}

/// So many numbers from `first` on, of a type.
fn row(first: usize, len: usize, dtype: DType, device: &Device) -> Tensor {
    let numbers: Vec<f32> = (first..first + len).map(|number| number as f32).collect();
    Tensor::new(numbers, device).unwrap().to_dtype(dtype).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn tensors_of_every_kind_come_to_the_receivers_device() {
    let Some(_) = gpu() else { return };
    run(3, |world, device| {
        let (here, size) = (world.rank(), world.size());
        for dtype in [DType::F32, DType::BF16, DType::F16, DType::F64, DType::U32, DType::I64] {
            let own = row(here * 10, 12, dtype, device).reshape((3, 4)).unwrap();
            let column = own.narrow(1, 1, 2).unwrap();
            let last = own.narrow(0, 2, 1).unwrap();
            let none = own.narrow(0, 0, 0).unwrap();
            let mask = Tensor::new(&[1u8], &Device::Cpu).unwrap();
            world.send(vec![own, column, last, none, mask], (here + 1) % size, Tag(1))?;
            let from = (here + size - 1) % size;
            let got = world.recv(from, Tag(1))?;
            assert!(got[..4].iter().all(|tensor| tensor.device().same_device(device)), "{dtype:?}");
            assert!(got[4].device().is_cpu(), "what was on the CPU stays on it");
            let whole = row(from * 10, 12, DType::F32, &Device::Cpu).reshape((3, 4)).unwrap();
            assert_eq!(numbers(&got[0]), numbers(&whole), "{dtype:?}");
            assert_eq!(numbers(&got[1]), numbers(&whole.narrow(1, 1, 2).unwrap()), "{dtype:?}");
            assert_eq!(numbers(&got[2]), numbers(&whole.narrow(0, 2, 1).unwrap()), "{dtype:?}");
            assert_eq!(got[3].dims(), [0, 4]);
        }
        Ok(())
    });
}

/// Each round what came is added to and sent on: what a stream has not computed yet is not read, and what
/// another still reads is not given up.
#[test]
fn tensors_go_round_between_streams() {
    const NUM_ROUNDS: usize = 200;
    let Some(_) = gpu() else { return };
    run(4, |world, device| {
        let (here, size) = (world.rank(), world.size());
        let mut mine = row(here, 1 << 18, DType::F32, device);
        for round in 0..NUM_ROUNDS {
            world.send(vec![mine.clone()], (here + 1) % size, Tag(round as u64))?;
            let got = world.recv((here + size - 1) % size, Tag(round as u64))?.remove(0);
            mine = (got + 1.).unwrap();
        }
        let from = (here + size - NUM_ROUNDS % size) % size;
        let expected = row(from + NUM_ROUNDS, 1 << 18, DType::F32, &Device::Cpu);
        assert!(numbers(&mine) == numbers(&expected), "rank {here}");
        Ok(())
    });
}

#[test]
fn sums_of_tensors_are_those_of_the_cpu() {
    let Some(_) = gpu() else { return };
    run(3, |world, device| {
        for len in [7, 100_000] {
            let own = row(world.rank(), len, DType::F32, device);
            let sum = world.all_reduce_tensor(&own, Reduction::Sum, Tag(2))?;
            assert!(sum.device().same_device(device));
            let expected = (row(1, len, DType::F32, &Device::Cpu) * 3.).unwrap();
            assert!(numbers(&sum) == numbers(&expected), "{len} numbers");
        }
        Ok(())
    });
}
