//! The functions of NCCL.

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_uint, c_ulonglong};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::{IN_PROGRESS, INVALID_ARGUMENT, INVALID_USAGE, Id, Part, Result, SUCCESS};
use crate::driver::{current_device, stream_of};
use crate::engine::{Engine, Handle, engine};
use crate::put;

/// The first version that takes several ranks on one device.
const VERSION: c_int = 23_000;
/// What the header begins a configuration with.
const MAGIC: c_uint = 0xcafe_beef;

/// What a thread has asked for since its group began.
#[derive(Default)]
struct Group {
    depth: usize,
    /// By communicator and stream, in the order of their first calls.
    asked: Vec<(Handle, Handle, Vec<Part>)>,
}

thread_local! {
    static GROUP: RefCell<Group> = RefCell::new(Group::default());
}

/// The beginning of `ncclConfig_t`.
#[repr(C)]
pub struct Config {
    size: usize,
    magic: c_uint,
    version: c_uint,
    blocking: c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct UniqueId {
    internal: Id,
}

/// # Safety
/// `to` leads to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclGetVersion(to: *mut c_int) -> Result {
    // SAFETY: the caller says so.
    unsafe { put(to, VERSION) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGetErrorString(result: Result) -> *const c_char {
    let text = match result {
        SUCCESS => c"no error",
        INVALID_ARGUMENT => c"invalid argument",
        INVALID_USAGE => c"invalid usage",
        IN_PROGRESS => c"NCCL operation in progress",
        _ => c"unknown result code",
    };
    text.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGetLastError(_: u64) -> *const c_char {
    c"".as_ptr()
}

/// # Safety
/// `to` leads to a place for an id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclGetUniqueId(to: *mut UniqueId) -> Result {
    static IDS: AtomicU64 = AtomicU64::new(1);
    let mut internal = [0; 128];
    internal[..8].copy_from_slice(&IDS.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    internal[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    // Another process has had this number before.
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    internal[12..20].copy_from_slice(&(since.as_nanos() as u64).to_le_bytes());
    // SAFETY: the caller says so.
    unsafe { put(to, UniqueId { internal }) };
    SUCCESS
}

/// # Safety
/// `to` leads to a place for a handle, `config` to a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclCommInitRankConfig(
    to: *mut u64,
    size: c_int,
    id: UniqueId,
    rank: c_int,
    config: *const Config,
) -> Result {
    let Some(device) = current_device() else { return INVALID_USAGE };
    // SAFETY: the caller says so.
    let config = unsafe { &*config };
    if config.magic != MAGIC || config.size < size_of::<Config>() || config.version > 23_000 {
        return INVALID_ARGUMENT;
    }
    let (Ok(size), Ok(rank)) = (usize::try_from(size), usize::try_from(rank)) else {
        return INVALID_ARGUMENT;
    };
    let is_blocking = config.blocking != 0;
    let mut engine = engine();
    let handle = match engine.join(id.internal, size, rank, device, is_blocking) {
        Ok(handle) => handle,
        Err(error) => return error,
    };
    while is_blocking && !engine.has_joined(handle) {
        engine = engine.wait_for_change();
    }
    // SAFETY: the caller says so.
    unsafe { put(to, handle) };
    if is_blocking { SUCCESS } else { IN_PROGRESS }
}

/// # Safety
/// `to` leads to a place for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclCommGetAsyncError(comm: u64, to: *mut Result) -> Result {
    let Some(state) = engine().state(comm) else { return INVALID_ARGUMENT };
    // SAFETY: the caller says so.
    unsafe { put(to, state) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclCommAbort(comm: u64) -> Result {
    if engine().leave(comm) { SUCCESS } else { INVALID_ARGUMENT }
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclCommFinalize(comm: u64) -> Result {
    let mut engine = engine();
    if !engine.has_joined(comm) {
        return INVALID_ARGUMENT;
    }
    let Some(of) = engine.nccl.comms.get_mut(&comm) else { return INVALID_ARGUMENT };
    (of.is_closing, of.was_told) = (true, false);
    if !of.is_blocking {
        return IN_PROGRESS;
    }
    while !engine.is_through(comm) {
        engine = engine.wait_for_change();
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclCommDestroy(comm: u64) -> Result {
    let mut engine = engine();
    if !engine.nccl.comms.get(&comm).is_some_and(|of| of.is_closing) {
        crate::fault("NCCL: a communicator is destroyed that was not finalized");
    }
    if !engine.is_through(comm) {
        crate::fault("NCCL: a communicator is destroyed that has not come to its end");
    }
    if engine.leave(comm) { SUCCESS } else { INVALID_ARGUMENT }
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGroupStart() -> Result {
    GROUP.with_borrow_mut(|group| group.depth += 1);
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGroupEnd() -> Result {
    let asked = GROUP.with_borrow_mut(|group| {
        group.depth = group.depth.checked_sub(1)?;
        Some(if group.depth == 0 { std::mem::take(&mut group.asked) } else { Vec::new() })
    });
    let Some(asked) = asked else { return INVALID_USAGE };
    let mut engine = engine();
    let mut result = SUCCESS;
    for (comm, stream, parts) in asked {
        // One that was aborted within the group.
        let Some(of) = engine.nccl.comms.get_mut(&comm) else { continue };
        of.asked.push((stream, parts));
        of.was_told = false;
        if of.is_blocking {
            engine.begin(comm);
        } else {
            result = IN_PROGRESS;
        }
    }
    result
}

/// Adds a buffer to what the thread asks for.
fn ask(part: Part, comm: u64, stream: u64) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_ARGUMENT };
    if let Err(error) = check(&mut engine, comm, stream) {
        return error;
    }
    drop(engine);
    let is_alone = GROUP.with_borrow_mut(|group| {
        match group.asked.iter_mut().find(|of| (of.0, of.1) == (comm, stream)) {
            Some((_, _, parts)) => parts.push(part),
            None => group.asked.push((comm, stream, vec![part])),
        }
        group.depth == 0
    });
    if is_alone {
        ncclGroupStart();
        return ncclGroupEnd();
    }
    SUCCESS
}

/// A communicator that does not block takes nothing new until all before it has been begun.
fn check(engine: &mut Engine, comm: Handle, stream: Handle) -> std::result::Result<(), Result> {
    let has_joined = engine.has_joined(comm);
    let device = engine.device_of(stream);
    let comm = engine.nccl.comms.get(&comm).ok_or(INVALID_ARGUMENT)?;
    let is_ready = comm.is_blocking || has_joined && comm.was_told && comm.asked.is_empty();
    if !is_ready || comm.is_closing || comm.device != device {
        eprintln!(
            "emulator: NCCL is asked for a message before it is ready, after its end or on a stream of another device"
        );
        return Err(INVALID_USAGE);
    }
    Ok(())
}

fn len(count: usize, of: c_int) -> Option<u64> {
    let bytes: c_ulonglong = match of {
        0 | 1 => 1,
        6 | 9 => 2,
        2 | 3 | 7 => 4,
        4 | 5 | 8 => 8,
        _ => return None,
    };
    Some(count as u64 * bytes)
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclSend(
    address: u64,
    count: usize,
    of: c_int,
    peer: c_int,
    comm: u64,
    stream: u64,
) -> Result {
    let (Some(len), Ok(peer)) = (len(count, of), usize::try_from(peer)) else {
        return INVALID_ARGUMENT;
    };
    ask(Part { is_sent: true, address, len, peer }, comm, stream)
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclRecv(
    address: u64,
    count: usize,
    of: c_int,
    peer: c_int,
    comm: u64,
    stream: u64,
) -> Result {
    let (Some(len), Ok(peer)) = (len(count, of), usize::try_from(peer)) else {
        return INVALID_ARGUMENT;
    };
    ask(Part { is_sent: false, address, len, peer }, comm, stream)
}
