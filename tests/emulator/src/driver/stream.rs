//! Streams.

use std::ffi::{c_int, c_uint};

use super::{INVALID_CONTEXT, INVALID_HANDLE, Result, SUCCESS, current_device, stream_of};
use crate::engine::{Task, engine};
use crate::put;

/// # Safety
/// `to` leads to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(to: *mut u64, flags: c_uint) -> Result {
    let Some(device) = current_device() else { return INVALID_CONTEXT };
    if flags != 1 {
        crate::fault("a stream that waits for the default stream is not emulated");
    }
    let stream = engine().new_stream(device);
    // SAFETY: the caller says so.
    unsafe { put(to, stream) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: u64) -> Result {
    let mut engine = engine();
    if stream <= 2 || !engine.has_stream(stream) {
        return INVALID_HANDLE;
    }
    engine.end_stream(stream);
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: u64) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    let end = engine.end_of(stream);
    engine.wait(end);
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: u64, event: u64, _: c_uint) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    let Some(event) = engine.events.get(&event) else { return INVALID_HANDLE };
    // For one that was never recorded nobody waits.
    if let Some(moment) = event.moment
        && moment.stream != stream
    {
        engine.queue(stream, Task::Wait(moment));
    }
    SUCCESS
}

/// # Safety
/// `to` leads to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(stream: u64, to: *mut c_int) -> Result {
    if stream_of(&mut engine(), stream).is_none() {
        return INVALID_HANDLE;
    }
    // SAFETY: the caller says so.
    unsafe { put(to, 0) };
    SUCCESS
}
