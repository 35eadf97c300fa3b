//! Tensors that go from GPU to GPU by NCCL: the conformance suite of communicators where there are two
//! GPUs, or where NCCL takes two ranks on one.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use autopipe_runtime::communicator::{PostedRecv, Reduction, Tag, Work};
use autopipe_runtime::nccl::{self, NcclOptions};
use autopipe_runtime::{Communicator, Error, Failure, ThreadOptions, gpu_peak, threads};
use candle_core::{Device, Tensor};

use crate::conformance::{self, tensor, value};

use super::device::gpu;

/// The first NCCL that takes several ranks on one GPU, if it is told to.
const SHARES_GPUS: u32 = 23000;

/// A world whose tensors are on this rank's GPU while they are under way, and on the CPU for whoever
/// sends and receives them.
struct OnGpu {
    inner: Box<dyn Communicator>,
    device: Device,
}

impl OnGpu {
    fn there(&self, tensor: &Tensor) -> Result<Tensor, Error> {
        Ok(tensor.to_device(&self.device)?)
    }
}

fn here(tensor: &Tensor) -> Result<Tensor, Error> {
    assert!(tensor.device().is_cuda());
    Ok(tensor.to_device(&Device::Cpu)?)
}

impl Communicator for OnGpu {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn members(&self) -> &[usize] {
        self.inner.members()
    }

    fn begin_work(&self, work: Work) -> Result<(), Error> {
        self.inner.begin_work(work)
    }

    fn send(&self, tensors: Vec<Tensor>, to: usize, tag: Tag) -> Result<(), Error> {
        let tensors = tensors.iter().map(|tensor| self.there(tensor)).collect::<Result<_, _>>()?;
        self.inner.send(tensors, to, tag)
    }

    fn post_recv(&self, from: usize, tag: Tag) -> Result<PostedRecv, Error> {
        self.inner.post_recv(from, tag)
    }

    fn has_arrived(&self, posted: &PostedRecv) -> Result<bool, Error> {
        self.inner.has_arrived(posted)
    }

    fn wait(&self, posted: PostedRecv) -> Result<Vec<Tensor>, Error> {
        self.inner.wait(posted)?.iter().map(here).collect()
    }

    fn all_reduce(&self, values: &[f64], reduction: Reduction) -> Result<Vec<f64>, Error> {
        self.inner.all_reduce(values, reduction)
    }

    fn barrier(&self) -> Result<(), Error> {
        self.inner.barrier()
    }

    fn split(&self, color: usize, key: usize) -> Result<Box<dyn Communicator>, Error> {
        let inner = self.inner.split(color, key)?;
        Ok(Box::new(Self { inner, device: self.device.clone() }))
    }

    fn abort(&self, failure: Failure) {
        self.inner.abort(failure);
    }

    fn check(&self) -> Result<(), Error> {
        self.inner.check()
    }

    fn reset(&self) -> Result<(), Error> {
        self.inner.reset()
    }

    fn all_reduce_tensor(
        &self,
        tensor: &Tensor,
        reduction: Reduction,
        tag: Tag,
    ) -> Result<Tensor, Error> {
        here(&self.inner.all_reduce_tensor(&self.there(tensor)?, reduction, tag)?)
    }

    fn reduce_scatter_tensor(
        &self,
        tensor: &Tensor,
        reduction: Reduction,
        tag: Tag,
    ) -> Result<Tensor, Error> {
        here(&self.inner.reduce_scatter_tensor(&self.there(tensor)?, reduction, tag)?)
    }

    fn all_gather_tensor(&self, tensor: &Tensor, tag: Tag) -> Result<Vec<Tensor>, Error> {
        self.inner.all_gather_tensor(&self.there(tensor)?, tag)?.iter().map(here).collect()
    }

    fn broadcast_tensor(&self, tensor: &Tensor, from: usize, tag: Tag) -> Result<Tensor, Error> {
        here(&self.inner.broadcast_tensor(&self.there(tensor)?, from, tag)?)
    }
}

/// The GPUs of two ranks; without them, says why there are none.
fn two() -> Option<[usize; 2]> {
    static SAID: OnceLock<()> = OnceLock::new();
    let device = gpu()?;
    let say = |why: &str| {
        SAID.get_or_init(|| {
            #[expect(clippy::print_stdout, reason = "who reads a test's output looks for it")]
            {
                println!("skipped: {why}");
            }
        });
    };
    if !has_pools(&device) {
        say("this GPU has no pools of memory");
        return None;
    }
    if Device::new_cuda_with_stream(1).is_ok() {
        return Some([0, 1]);
    }
    let version = nccl::version().unwrap();
    if version >= SHARES_GPUS && shares_gpus() {
        return Some([0, 0]);
    }
    say(&format!(
        "NCCL {version} takes no two ranks on one GPU; from {SHARES_GPUS} on it does with \
         NCCL_MULTI_RANK_GPU_ENABLE=1"
    ));
    None
}

/// Without them CUDA counts no memory either.
fn has_pools(device: &Device) -> bool {
    gpu_peak(device).unwrap().is_some()
}

#[expect(clippy::disallowed_methods, reason = "a test has no arguments")]
fn shares_gpus() -> bool {
    std::env::var("NCCL_MULTI_RANK_GPU_ENABLE").is_ok_and(|value| value == "1")
}

/// Runs `body` on a rank for each of the GPUs.
fn run(gpus: &[usize], timeout: Duration, body: impl Fn(OnGpu) + Sync) {
    run_from(Work::Known, gpus, timeout, body);
}

/// The same, where the work is new or known at first.
fn run_from(begins_with: Work, gpus: &[usize], timeout: Duration, body: impl Fn(OnGpu) + Sync) {
    // One world at a time: its kernels take their part of the GPU while they wait.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let options = ThreadOptions { timeout, ..ThreadOptions::default() };
    let ran = threads(gpus.len(), &options, |below| {
        let device = Device::new_cuda_with_stream(gpus[below.rank()])?;
        let timeout = Duration::from_secs(60);
        let options = NcclOptions { timeout, begins_with, ..NcclOptions::default() };
        body(OnGpu { inner: nccl::over(below, &device, &options)?, device });
        Ok::<_, Error>(())
    });
    ran.map(drop).unwrap();
}

macro_rules! on_gpus {
    ($($check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                let Some(gpus) = two() else { return };
                run(&gpus, Duration::from_secs(60), |world| conformance::$check(&world));
            }
        )*
    };
}
conformance::for_all_checks!(on_gpus);

#[test]
fn a_large_message_arrives_whole() {
    let Some(gpus) = two() else { return };
    let check = |world: OnGpu| conformance::a_large_message_arrives_whole(&world, 256 << 20);
    run(&gpus, Duration::from_secs(60), check);
}

#[test]
fn what_is_computed_before_and_after_is_in_order() {
    let Some(gpus) = two() else { return };
    run(&gpus, Duration::from_secs(60), |OnGpu { inner: world, device }| {
        let other = 1 - world.rank();
        let ones = Tensor::ones((1024, 1024), candle_core::DType::F32, &device).unwrap();
        for round in 1..20 {
            // Still being computed when it is sent, and dropped while it leaves.
            let product = (ones.matmul(&ones).unwrap() * f64::from(round)).unwrap();
            world.send(vec![product], other, Tag(0)).unwrap();
            let got = world.recv(other, Tag(0)).unwrap().remove(0);
            let sum = got.matmul(&ones).unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
            assert_eq!(sum, 1024.0 * 1024.0 * round as f32);
        }
    });
}

#[test]
fn tensors_of_new_work_come_to_the_receivers_gpu_by_the_transport_below() {
    let Some(gpus) = two() else { return };
    run_from(Work::New, &gpus, Duration::from_secs(60), |OnGpu { inner: world, device }| {
        let other = 1 - world.rank();
        let group = world.split(0, world.rank()).unwrap();
        for (round, work) in [Work::New, Work::Known, Work::New, Work::Known].iter().enumerate() {
            world.begin_work(*work).unwrap();
            world.barrier().unwrap();
            for end in [&world, &group] {
                let mine = Tensor::new(&[round as f32, world.rank() as f32], &device).unwrap();
                end.send(vec![mine], other, Tag(0)).unwrap();
                let got = end.recv(other, Tag(0)).unwrap().remove(0);
                assert!(got.device().same_device(&device), "{work:?}");
                assert_eq!(got.to_vec1::<f32>().unwrap(), [round as f32, other as f32]);
            }
        }
    });
}

#[test]
fn a_gpu_without_pools_of_memory_is_refused() {
    let Some(device) = gpu() else { return };
    let ran = threads(1, &ThreadOptions::default(), |below| {
        let device = Device::new_cuda_with_stream(0)?;
        nccl::over(below, &device, &NcclOptions::default()).map(drop)
    });
    let refusal = ran.err().map(|error| error.to_string());
    assert_eq!(refusal.is_none(), has_pools(&device), "{refusal:?}");
    let words = "leave NCCL out on all ranks (no --nccl)";
    assert!(refusal.is_none_or(|refusal| refusal.ends_with(words)));
}

#[test]
fn a_rank_alone_sends_to_itself() {
    if gpu().is_none_or(|device| !has_pools(&device)) {
        return;
    }
    run(&[0], Duration::from_secs(60), |world| {
        conformance::a_rank_may_send_to_itself(&world);
        let sum = world.all_reduce_tensor(&tensor(3.0), Reduction::Sum, Tag(0)).unwrap();
        assert_eq!(value(&[sum]), 3.0);
        let alone = world.split(0, 0).unwrap();
        conformance::a_rank_may_send_to_itself(&*alone);
    });
}

#[test]
fn a_device_with_a_stream_for_each_thread_is_refused() {
    if gpu().is_none() {
        return;
    }
    let ran = threads(1, &ThreadOptions::default(), |below| {
        let device = Device::new_cuda(0)?;
        nccl::over(below, &device, &NcclOptions::default()).map(drop)
    });
    let error = ran.unwrap_err().to_string();
    assert!(error.ends_with("make the device with `Device::new_cuda_with_stream`"), "{error}");
}
