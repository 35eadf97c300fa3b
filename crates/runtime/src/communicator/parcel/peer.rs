//! A copy from one GPU to another, which waits for what it reads and for nothing else. The library's own
//! waits for all that the other GPU has been given to do until then.
#![expect(unsafe_code, reason = "the driver's copy trusts pointers and a count")]

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::result::memcpy_peer_async;
use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, CudaStream, CudaView, DevicePtr as _, DevicePtrMut as _, DeviceRepr,
    DeviceSlice as _, DriverError,
};

/// The numbers of a slice on another GPU, on this stream, which waits already until they are computed.
/// Until the stream has come to its end, nobody may write to them or give them up.
pub(super) fn copy<T: DeviceRepr>(
    stream: &Arc<CudaStream>,
    from: &CudaView<'_, T>,
) -> Result<CudaSlice<T>, DriverError> {
    // SAFETY: all of it is written before this stream reads it.
    let mut to = unsafe { stream.alloc::<T>(from.len()) }?;
    let (other, here) = (from.stream().context(), stream.context());
    {
        let (source, _read) = from.device_ptr(from.stream());
        let (target, _written) = to.device_ptr_mut(stream);
        // SAFETY: both are of so many bytes, on the GPUs of these contexts; the stream is this one's, and
        // what is read is kept by the caller until the copy is done.
        unsafe {
            memcpy_peer_async(
                here.cu_ctx(),
                target,
                other.cu_ctx(),
                source,
                from.num_bytes(),
                stream.cu_stream(),
            )
        }?;
    }
    Ok(to)
}
