//! Devices and their contexts.

use std::ffi::{c_int, c_uint};

use super::{
    CURRENT, FIRST_CONTEXT, INVALID_CONTEXT, INVALID_DEVICE, INVALID_VALUE, NO_DEVICE, Result,
    SUCCESS, current_device,
};
use crate::engine::engine;
use crate::options::options;
use crate::put;

const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
const COMPUTE_CAPABILITY_MINOR: c_int = 76;
const MEMORY_POOLS_SUPPORTED: c_int = 115;

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> Result {
    match (flags, options().num_devices) {
        (0, 0) => NO_DEVICE,
        (0, _) => SUCCESS,
        _ => INVALID_VALUE,
    }
}

/// # Safety
/// `to` leads to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(to: *mut c_int) -> Result {
    // SAFETY: the caller says so.
    unsafe { put(to, options().num_devices as c_int) };
    SUCCESS
}

fn is_device(device: c_int) -> bool {
    usize::try_from(device).is_ok_and(|device| device < options().num_devices)
}

/// # Safety
/// `to` leads to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(to: *mut c_int, ordinal: c_int) -> Result {
    if !is_device(ordinal) {
        return INVALID_DEVICE;
    }
    // SAFETY: the caller says so.
    unsafe { put(to, ordinal) };
    SUCCESS
}

/// # Safety
/// `to` leads to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(
    to: *mut c_int,
    attribute: c_int,
    device: c_int,
) -> Result {
    let value = match attribute {
        _ if !is_device(device) => return INVALID_DEVICE,
        COMPUTE_CAPABILITY_MAJOR => 8,
        COMPUTE_CAPABILITY_MINOR => 0,
        MEMORY_POOLS_SUPPORTED => c_int::from(options().has_pools),
        _ => crate::fault(&format!("the attribute {attribute} of a device is not emulated")),
    };
    // SAFETY: the caller says so.
    unsafe { put(to, value) };
    SUCCESS
}

/// # Safety
/// `to` leads to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(to: *mut u64, device: c_int) -> Result {
    if !is_device(device) {
        return INVALID_DEVICE;
    }
    // SAFETY: the caller says so.
    unsafe { put(to, FIRST_CONTEXT + device as u64) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> Result {
    if is_device(device) { SUCCESS } else { INVALID_DEVICE }
}

/// There are none but primary contexts, which are not destroyed.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxDestroy_v2(_: u64) -> Result {
    INVALID_CONTEXT
}

/// # Safety
/// `to` leads to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(to: *mut u64) -> Result {
    // SAFETY: the caller says so.
    unsafe { put(to, CURRENT.get()) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: u64) -> Result {
    let device = context.checked_sub(FIRST_CONTEXT);
    if context != 0 && device.is_none_or(|device| device >= options().num_devices as u64) {
        return INVALID_CONTEXT;
    }
    CURRENT.set(context);
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> Result {
    let Some(device) = current_device() else { return INVALID_CONTEXT };
    let mut engine = engine();
    for end in engine.ends_of_device(device) {
        engine = engine.wait(end);
    }
    SUCCESS
}
