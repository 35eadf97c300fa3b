//! An NCCL communicator of two ranks, of which one sends to the other. No call of it waits, but for those
//! that end it.
#![expect(unsafe_code, reason = "NCCL is a library in C")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use cudarc::driver::CudaStream;
use cudarc::nccl::sys::{self, ncclComm_t, ncclConfig_t, ncclDataType_t, ncclResult_t};

use super::NcclError;
use super::carrier::{LaneId, Side};

/// By what NCCL knows that a configuration is one: `NCCL_CONFIG_INITIALIZER` of its header.
const MAGIC: u32 = 0xcafe_beef;
/// Of a number in it that is left to NCCL.
const UNSET: c_int = c_int::MIN;
/// The version of the header that the bindings are of.
const VERSION: u32 = 22800;

/// Bytes of the GPU's memory.
pub(super) struct Region {
    address: usize,
    len: usize,
}

impl Region {
    /// # Safety
    /// There are as many bytes of this GPU's memory at the address. From the call that begins to send
    /// or receive them until the stream is through with that, they stay there, nobody writes to them, and
    /// of those to be received, nobody reads any.
    pub(super) unsafe fn new(address: usize, len: usize) -> Self {
        Self { address, len }
    }
}

/// One rank's end. Dropped before it is closed, it is aborted.
pub(super) struct Comm {
    raw: ncclComm_t,
    side: Side,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    /// `raw` is no communicator any more.
    Gone,
}

// SAFETY: NCCL lets any thread use a communicator, one at a time; all calls here take it by `&mut`, or
// only read what NCCL's own threads write too.
unsafe impl Send for Comm {}

/// The library's version: 22809 is 2.28.9.
pub(super) fn version() -> Result<u32, NcclError> {
    let mut version = 0;
    // SAFETY: it is written to a number that is there.
    accept("ncclGetVersion", unsafe { sys::ncclGetVersion(&raw mut version) })?;
    Ok(version.unsigned_abs())
}

/// What the ends of a new communicator find each other by; this process listens for the other.
pub(super) fn name() -> Result<LaneId, NcclError> {
    let mut id = sys::ncclUniqueId { internal: [0; 128] };
    // SAFETY: it is written to an id that is there.
    accept("ncclGetUniqueId", unsafe { sys::ncclGetUniqueId(&raw mut id) })?;
    Ok(LaneId(id.internal.map(c_char::cast_unsigned)))
}

/// Ends all that is under way on communicators, which are none any more. Each waits until the GPU is
/// through with it, which may wait for what another was to bring: so that all are told before any waits.
pub(super) fn abort(comms: &mut [&mut Comm]) {
    // SAFETY: it has no arguments; the end of the group follows on this thread.
    let is_group = accept("ncclGroupStart", unsafe { sys::ncclGroupStart() }).is_ok();
    comms.iter_mut().for_each(|comm| comm.abort());
    if is_group {
        // SAFETY: it has no arguments; this thread has started the group. What it says changes nothing.
        let _ = accept("ncclGroupEnd", unsafe { sys::ncclGroupEnd() });
    }
}

impl Comm {
    /// Begins to connect, with the GPU whose context is this thread's.
    pub(super) fn connect(id: &LaneId, side: Side, max_ctas: c_int) -> Result<Self, NcclError> {
        let id = sys::ncclUniqueId { internal: id.0.map(u8::cast_signed) };
        let mut config = config(max_ctas);
        let mut raw = ptr::null_mut();
        // SAFETY: the handle is written to a pointer that is there; NCCL copies the configuration.
        let result = unsafe {
            sys::ncclCommInitRankConfig(&raw mut raw, 2, id, rank(side), &raw mut config)
        };
        accept("ncclCommInitRankConfig", result)?;
        Ok(Self { raw, side, phase: Phase::Open })
    }

    /// Whether what was begun has been given to the GPU, and the next can be begun.
    pub(super) fn is_ready(&mut self) -> Result<bool, NcclError> {
        let mut state = ncclResult_t::ncclSuccess;
        self.call("ncclCommGetAsyncError", |raw| {
            // SAFETY: the communicator is there; its state is written to a place that is, too.
            unsafe { sys::ncclCommGetAsyncError(raw, &raw mut state) }
        })?;
        accept("NCCL", state)?;
        Ok(state != ncclResult_t::ncclInProgress)
    }

    /// Begins to send or to receive bytes, in order, when the stream comes to it.
    pub(super) fn begin(
        &mut self,
        regions: &[Region],
        stream: &CudaStream,
    ) -> Result<(), NcclError> {
        let (side, stream) = (self.side, stream.cu_stream().cast());
        let bytes = ncclDataType_t::ncclUint8;
        // SAFETY: it has no arguments; the end of the group follows on this thread, whatever fails.
        accept("ncclGroupStart", unsafe { sys::ncclGroupStart() })?;
        let begun = regions.iter().try_for_each(|Region { address, len }| {
            let (address, len) = (ptr::with_exposed_provenance_mut::<c_void>(*address), *len);
            match side {
                // SAFETY: the communicator and the stream are there, both of this GPU; whoever made
                // the region answers for its bytes.
                Side::Sender => self.call("ncclSend", |raw| unsafe {
                    sys::ncclSend(address, len, bytes, rank(Side::Receiver), raw, stream)
                }),
                // SAFETY: the same.
                Side::Receiver => self.call("ncclRecv", |raw| unsafe {
                    sys::ncclRecv(address, len, bytes, rank(Side::Sender), raw, stream)
                }),
            }
        });
        // SAFETY: it has no arguments; this thread has started the group.
        let ended = accept("ncclGroupEnd", unsafe { sys::ncclGroupEnd() });
        begun.and(ended)
    }

    /// Ends all that is under way, and is no communicator any more.
    fn abort(&mut self) {
        // What it says changes nothing.
        let _ = self.call("ncclCommAbort", |raw| {
            // SAFETY: the communicator is there, and this is the last call of it.
            unsafe { sys::ncclCommAbort(raw) }
        });
        self.phase = Phase::Gone;
    }

    /// Begins to close, or goes on with it; whether it is closed.
    pub(super) fn close(&mut self) -> Result<bool, NcclError> {
        if self.phase == Phase::Open {
            self.call("ncclCommFinalize", |raw| {
                // SAFETY: the communicator is there, and nothing is begun after this.
                unsafe { sys::ncclCommFinalize(raw) }
            })?;
            self.phase = Phase::Closing;
        }
        if self.phase == Phase::Closing && self.is_ready()? {
            let destroyed = self.call("ncclCommDestroy", |raw| {
                // SAFETY: the communicator is there, and this is the last call of it.
                unsafe { sys::ncclCommDestroy(raw) }
            });
            self.phase = Phase::Gone;
            destroyed?;
        }
        Ok(self.phase == Phase::Gone)
    }

    fn call(
        &self,
        name: &'static str,
        call: impl FnOnce(ncclComm_t) -> ncclResult_t,
    ) -> Result<(), NcclError> {
        match self.phase {
            Phase::Open | Phase::Closing => accept(name, call(self.raw)),
            Phase::Gone => {
                Err(NcclError::Call { call: name, cause: "the lane is broken off".to_owned() })
            }
        }
    }
}

impl Drop for Comm {
    fn drop(&mut self) {
        self.abort();
    }
}

/// An end's rank in its communicator.
fn rank(side: Side) -> c_int {
    match side {
        Side::Sender => 0,
        Side::Receiver => 1,
    }
}

/// No call waits, and a message takes no more than so many multiprocessors.
fn config(max_ctas: c_int) -> ncclConfig_t {
    ncclConfig_t {
        size: size_of::<ncclConfig_t>(),
        magic: MAGIC,
        version: VERSION,
        blocking: 0,
        cgaClusterSize: UNSET,
        minCTAs: 1,
        maxCTAs: max_ctas,
        netName: ptr::null(),
        splitShare: UNSET,
        trafficClass: UNSET,
        commName: ptr::null(),
        collnetEnable: UNSET,
        CTAPolicy: UNSET,
        shrinkShare: UNSET,
        nvlsCTAs: UNSET,
        nChannelsPerNetPeer: UNSET,
        nvlinkCentricSched: UNSET,
    }
}

/// What has begun and is not done has not failed.
fn accept(call: &'static str, result: ncclResult_t) -> Result<(), NcclError> {
    if matches!(result, ncclResult_t::ncclSuccess | ncclResult_t::ncclInProgress) {
        return Ok(());
    }
    // SAFETY: NCCL has a text for every error; of no communicator, the last one that it has logged.
    let (words, last) = unsafe {
        (text(sys::ncclGetErrorString(result)), text(sys::ncclGetLastError(ptr::null_mut())))
    };
    let cause = if last.is_empty() { words } else { format!("{words} ({last})") };
    Err(match result {
        ncclResult_t::ncclInvalidUsage => NcclError::Usage { call, cause },
        _ => NcclError::Call { call, cause },
    })
}

/// # Safety
/// The text is none, or ends with a zero and stays while it is copied.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller says so.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().trim().to_owned()
}
