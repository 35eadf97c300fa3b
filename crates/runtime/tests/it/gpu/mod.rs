//! Ranks on GPUs: tensors between the streams of threads, and by NCCL.

#[path = "../../../../nn/tests/it/gpu/device.rs"]
mod device;
mod memory;
mod nccl;
mod streams;
