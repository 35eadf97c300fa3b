//! Events.

use std::ffi::c_uint;

use super::{
    INVALID_CONTEXT, INVALID_HANDLE, NOT_READY, Result, SUCCESS, current_device, stream_of,
};
use crate::engine::{Event, engine};
use crate::options::{Order, options};
use crate::put;

/// # Safety
/// `to` leads to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(to: *mut u64, _: c_uint) -> Result {
    if current_device().is_none() {
        return INVALID_CONTEXT;
    }
    let mut engine = engine();
    let handle = engine.new_handle();
    engine.events.insert(handle, Event::default());
    // SAFETY: the caller says so.
    unsafe { put(to, handle) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: u64) -> Result {
    if engine().events.remove(&event).is_some() { SUCCESS } else { INVALID_HANDLE }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: u64, stream: u64) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    if !engine.events.contains_key(&event) {
        return INVALID_HANDLE;
    }
    let moment = Some(engine.end_of(stream));
    engine.events.insert(event, Event { moment, was_asked: false });
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: u64) -> Result {
    let engine = engine();
    let Some(event) = engine.events.get(&event) else { return INVALID_HANDLE };
    if let Some(moment) = event.moment {
        engine.wait(moment);
    }
    SUCCESS
}

/// Time passes for whoever asks, and for what is late not before the second time.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: u64) -> Result {
    let mut engine = engine();
    let Some(event) = engine.events.get_mut(&event) else { return INVALID_HANDLE };
    let Some(moment) = event.moment else { return SUCCESS };
    if !std::mem::replace(&mut event.was_asked, true) && options().order == Order::Late {
        return NOT_READY;
    }
    if engine.run(moment) { SUCCESS } else { NOT_READY }
}
