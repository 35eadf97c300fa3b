//! NVRTC: programs are compiled by the `nvcc` in `CUDA_HOME`, and kept in the folder for temporary files,
//! by their text.
#![expect(
    clippy::disallowed_methods,
    reason = "a library that stands in for another has no arguments"
)]

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::driver::SUCCESS;
use crate::engine::engine;
use crate::{put, text};

const COMPILATION: c_int = 6;
const INVALID_PROGRAM: c_int = 4;

#[derive(Default)]
struct Program {
    source: String,
    ptx: Vec<u8>,
    log: Vec<u8>,
}

fn programs() -> MutexGuard<'static, BTreeMap<u64, Program>> {
    static PROGRAMS: Mutex<BTreeMap<u64, Program>> = Mutex::new(BTreeMap::new());
    PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// `source` leads to a text that ends with a zero; `to` to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCreateProgram(
    to: *mut u64,
    source: *const c_char,
    _name: *const c_char,
    num_headers: c_int,
    _headers: *const *const c_char,
    _names: *const *const c_char,
) -> c_int {
    if num_headers != 0 {
        crate::fault("programs with headers are not emulated");
    }
    // SAFETY: the caller says so.
    let source = unsafe { text(source) }.to_owned();
    let handle = engine().new_handle();
    programs().insert(handle, Program { source, ..Program::default() });
    // SAFETY: the caller says so.
    unsafe { put(to, handle) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvrtcCompileProgram(program: u64, num: c_int, _: *const *const c_char) -> c_int {
    if num != 0 {
        crate::fault("options for the compiler are not emulated");
    }
    let mut programs = programs();
    let Some(program) = programs.get_mut(&program) else { return INVALID_PROGRAM };
    match compile(&program.source) {
        Ok(ptx) => {
            program.ptx = ptx;
            SUCCESS
        }
        Err(log) => {
            program.log = log.into_bytes();
            COMPILATION
        }
    }
}

/// PTX for the GPU that is emulated.
fn compile(source: &str) -> Result<Vec<u8>, String> {
    let folder = std::env::temp_dir().join("autopipe-emulator");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    // FNV-1a, of 128 bits.
    let hash = source.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    let done = folder.join(format!("{hash:032x}.ptx"));
    if let Ok(ptx) = std::fs::read(&done) {
        return Ok(ptx);
    }
    // Another process may be at the same: what stands under the last name is whole.
    let own = |of: &str| folder.join(format!("{hash:032x}-{}.{of}", std::process::id()));
    let (cu, ptx) = (own("cu"), own("ptx"));
    std::fs::write(&cu, source).map_err(|error| error.to_string())?;
    let nvcc = match std::env::var_os("CUDA_HOME") {
        Some(home) => PathBuf::from(home).join("bin").join("nvcc"),
        None => PathBuf::from("nvcc"),
    };
    let output = Command::new(&nvcc).args(["-ptx", "-arch=sm_80", "-o"]).args([&ptx, &cu]).output();
    let output = output.unwrap_or_else(|error| {
        crate::fault(&format!("{} does not start: {error}; set CUDA_HOME", nvcc.display()))
    });
    // That one may be gone already, and nobody needs it.
    let _ = std::fs::remove_file(&cu);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    std::fs::rename(&ptx, &done).map_err(|error| error.to_string())?;
    std::fs::read(&done).map_err(|error| error.to_string())
}

#[unsafe(no_mangle)]
pub extern "C" fn nvrtcDestroyProgram(program: *mut u64) -> c_int {
    // SAFETY: NVRTC takes the place of a handle, which is there.
    let handle = unsafe { program.read() };
    if programs().remove(&handle).is_some() { SUCCESS } else { INVALID_PROGRAM }
}

/// # Safety
/// `to` leads to a place for a number.
unsafe fn size(program: u64, of: impl Fn(&Program) -> &[u8], to: *mut usize) -> c_int {
    let programs = programs();
    let Some(program) = programs.get(&program) else { return INVALID_PROGRAM };
    // SAFETY: the caller says so. A zero ends it.
    unsafe { put(to, of(program).len() + 1) };
    SUCCESS
}

/// # Safety
/// `to` leads to a place for the bytes and a zero.
unsafe fn copy(program: u64, of: impl Fn(&Program) -> &[u8], to: *mut c_char) -> c_int {
    let programs = programs();
    let Some(program) = programs.get(&program) else { return INVALID_PROGRAM };
    let bytes = of(program);
    // SAFETY: the caller says so.
    unsafe {
        to.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        to.add(bytes.len()).write(0);
    }
    SUCCESS
}

/// # Safety
/// `to` leads to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetPTXSize(program: u64, to: *mut usize) -> c_int {
    // SAFETY: the caller says so.
    unsafe { size(program, |program| &program.ptx, to) }
}

/// # Safety
/// `to` leads to a place for as many bytes as [`nvrtcGetPTXSize`] says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetPTX(program: u64, to: *mut c_char) -> c_int {
    // SAFETY: the caller says so.
    unsafe { copy(program, |program| &program.ptx, to) }
}

/// # Safety
/// `to` leads to a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLogSize(program: u64, to: *mut usize) -> c_int {
    // SAFETY: the caller says so.
    unsafe { size(program, |program| &program.log, to) }
}

/// # Safety
/// `to` leads to a place for as many bytes as [`nvrtcGetProgramLogSize`] says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLog(program: u64, to: *mut c_char) -> c_int {
    // SAFETY: the caller says so.
    unsafe { copy(program, |program| &program.log, to) }
}
