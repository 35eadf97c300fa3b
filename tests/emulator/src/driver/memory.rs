//! Memory of devices, and copies to it, from it and within.

use std::ffi::{c_int, c_uchar, c_void};

use super::{
    INVALID_CONTEXT, INVALID_DEVICE, INVALID_HANDLE, INVALID_VALUE, NOT_SUPPORTED, OUT_OF_MEMORY,
    Result, SUCCESS, current_device, stream_of,
};
use crate::engine::{Engine, Use, engine};
use crate::options::options;
use crate::put;

/// A pool is its device's number, beginning here.
const FIRST_POOL: u64 = 0x200;
const RELEASE_THRESHOLD: c_int = 4;
const USED_NOW: c_int = 7;
const USED_HIGH: c_int = 8;

/// An address that is not in use until its stream comes to it; none where there is no room.
fn reserve(engine: &mut Engine, device: usize, len: u64) -> Option<u64> {
    let used = engine.uses.entry(device).or_default();
    if used.now + len > options().memory {
        return None;
    }
    used.now += len;
    used.high = used.high.max(used.now);
    Some(engine.memory.reserve(Some(device), len))
}

fn count_given_up(engine: &mut Engine, address: u64, device: usize) {
    let Some(len) = engine.memory.len_at(address) else {
        crate::fault(&format!("{address:#x} is given up and was never had, or no more"));
    };
    engine.uses.entry(device).or_default().now -= len;
}

/// Unlike [`cuMemAlloc_v2`], pools give an address of no bytes.
///
/// # Safety
/// `to` leads to a place for an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(to: *mut u64, len: usize, stream: u64) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    if !options().has_pools {
        return NOT_SUPPORTED;
    }
    let device = engine.device_of(stream);
    let Some(address) = reserve(&mut engine, device, len as u64) else { return OUT_OF_MEMORY };
    engine.queue_work(stream, move |memory| {
        memory.give(address);
        Ok(())
    });
    // SAFETY: the caller says so.
    unsafe { put(to, address) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(address: u64, stream: u64) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    let device = engine.device_of(stream);
    count_given_up(&mut engine, address, device);
    engine.queue_work(stream, move |memory| memory.give_up(address));
    SUCCESS
}

/// # Safety
/// `to` leads to a place for an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(to: *mut u64, len: usize) -> Result {
    let Some(device) = current_device() else { return INVALID_CONTEXT };
    if len == 0 {
        return INVALID_VALUE;
    }
    let mut engine = engine();
    let Some(address) = reserve(&mut engine, device, len as u64) else { return OUT_OF_MEMORY };
    engine.memory.give(address);
    // SAFETY: the caller says so.
    unsafe { put(to, address) };
    SUCCESS
}

/// Waits for all that the device is at.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> Result {
    let Some(device) = current_device() else { return INVALID_CONTEXT };
    let mut engine = engine();
    for end in engine.ends_of_device(device) {
        engine = engine.wait(end);
    }
    count_given_up(&mut engine, address, device);
    engine.memory.give_up(address).unwrap_or_else(|what| crate::fault(&what));
    SUCCESS
}

/// # Safety
/// `to` leads to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetMemPool(to: *mut u64, device: c_int) -> Result {
    if !usize::try_from(device).is_ok_and(|device| device < options().num_devices) {
        return INVALID_DEVICE;
    }
    // SAFETY: the caller says so.
    unsafe { put(to, FIRST_POOL + device as u64) };
    SUCCESS
}

fn use_of(engine: &mut Engine, pool: u64) -> Option<&mut Use> {
    let device = pool.checked_sub(FIRST_POOL)? as usize;
    (device < options().num_devices).then(|| engine.uses.entry(device).or_default())
}

/// # Safety
/// `value` leads to a number of 64 bits, as those attributes have that are known here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolSetAttribute(
    pool: u64,
    attribute: c_int,
    value: *const u64,
) -> Result {
    let mut engine = engine();
    let Some(used) = use_of(&mut engine, pool) else { return INVALID_HANDLE };
    // SAFETY: the caller says so.
    let value = unsafe { value.read() };
    match attribute {
        // Nothing here gives memory back to a system.
        RELEASE_THRESHOLD => SUCCESS,
        // It can be set to zero only, and is what is in use then.
        USED_HIGH if value == 0 => {
            used.high = used.now;
            SUCCESS
        }
        _ => INVALID_VALUE,
    }
}

/// # Safety
/// `value` leads to a place for a number of 64 bits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolGetAttribute(
    pool: u64,
    attribute: c_int,
    value: *mut u64,
) -> Result {
    let mut engine = engine();
    let Some(used) = use_of(&mut engine, pool) else { return INVALID_HANDLE };
    let found = match attribute {
        USED_NOW => used.now,
        USED_HIGH => used.high,
        _ => return INVALID_VALUE,
    };
    // SAFETY: the caller says so.
    unsafe { put(value, found) };
    SUCCESS
}

/// # Safety
/// `free` and `total` lead to places for numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Result {
    let Some(device) = current_device() else { return INVALID_CONTEXT };
    let used = engine().uses.entry(device).or_default().now;
    // SAFETY: the caller says so.
    unsafe {
        put(free, (options().memory - used) as usize);
        put(total, options().memory as usize);
    }
    SUCCESS
}

/// What is copied from pageable memory is taken at once.
///
/// # Safety
/// `from` leads to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: *const c_void,
    len: usize,
    stream: u64,
) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    if len == 0 {
        return SUCCESS;
    }
    // SAFETY: the caller says so.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len) }.to_vec();
    engine.queue_work(stream, move |memory| {
        let to =
            memory.write(to, len as u64).map_err(|what| format!("a copy to a device: {what}"))?;
        to.copy_from_slice(&bytes);
        Ok(())
    });
    SUCCESS
}

/// A copy to pageable memory is waited for.
///
/// # Safety
/// `to` leads to a place for so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: u64,
    len: usize,
    stream: u64,
) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    if len == 0 {
        return SUCCESS;
    }
    let end = engine.end_of(stream);
    let engine = engine.wait(end);
    let bytes = engine.memory.read(from, len as u64);
    let bytes = bytes.unwrap_or_else(|what| crate::fault(&format!("a copy to the host: {what}")));
    // SAFETY: the caller says so; what is of devices is not of the host.
    unsafe { to.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), len) };
    SUCCESS
}

fn copy(to: u64, from: u64, len: usize, stream: u64) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    if len > 0 {
        engine.queue_work(stream, move |memory| {
            memory
                .copy(to, from, len as u64)
                .map_err(|what| format!("a copy between devices: {what}"))
        });
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, len: usize, stream: u64) -> Result {
    copy(to, from, len, stream)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyPeerAsync(
    to: u64,
    _to_context: u64,
    from: u64,
    _from_context: u64,
    len: usize,
    stream: u64,
) -> Result {
    copy(to, from, len, stream)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(to: u64, value: c_uchar, len: usize, stream: u64) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    if len > 0 {
        engine.queue_work(stream, move |memory| {
            let to = memory.write(to, len as u64).map_err(|what| format!("a memset: {what}"))?;
            to.fill(value);
            Ok(())
        });
    }
    SUCCESS
}
