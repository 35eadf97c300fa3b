//! Modules, their kernels, and launches.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_uint, c_void};
use std::sync::Arc;

use super::{INVALID_HANDLE, INVALID_IMAGE, INVALID_VALUE, NOT_FOUND, Result, SUCCESS, stream_of};
use crate::engine::{Engine, Handle, engine};
use crate::machine::{self, Launch, Program};
use crate::memory::Memory;
use crate::options::options;
use crate::ptx::{Module, Op};
use crate::{put, text};

/// The most threads of a block, and blocks along the second and third axis of a grid.
const MOST_THREADS: u64 = 1024;
const MOST_BLOCKS: u32 = 65_535;
/// The most shared memory of a block that has not asked for more.
const MOST_SHARED: usize = 48 << 10;

/// What has been loaded. The same text is read once for all devices.
#[derive(Default)]
pub(crate) struct Modules {
    texts: BTreeMap<String, Arc<Loaded>>,
    loaded: BTreeMap<Handle, Arc<Loaded>>,
    kernels: BTreeMap<Handle, (Arc<Loaded>, String)>,
    /// By the module's text, where it is, and the kernel's name.
    programs: BTreeMap<(usize, String), Arc<Program>>,
    /// Where variables of modules are.
    variables: BTreeMap<(usize, String), u64>,
}

struct Loaded {
    /// Tells its text from others.
    number: usize,
    module: Module,
}

/// # Safety
/// `image` leads to a text that ends with a zero; `to` to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(to: *mut u64, image: *const c_char) -> Result {
    // SAFETY: the caller says so.
    let image = unsafe { text(image) };
    let mut engine = engine();
    let modules = &mut engine.modules;
    let loaded = match modules.texts.get(image) {
        Some(loaded) => Arc::clone(loaded),
        None => {
            let module = match Module::new(image) {
                Ok(module) => module,
                Err(what) => {
                    eprintln!("emulator: {what}");
                    return INVALID_IMAGE;
                }
            };
            let loaded = Arc::new(Loaded { number: modules.texts.len(), module });
            modules.texts.insert(image.to_owned(), Arc::clone(&loaded));
            loaded
        }
    };
    let handle = engine.new_handle();
    engine.modules.loaded.insert(handle, loaded);
    // SAFETY: the caller says so.
    unsafe { put(to, handle) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleLoad(_: *mut u64, _: *const c_char) -> Result {
    crate::fault("a module from a file is not emulated")
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: u64) -> Result {
    if engine().modules.loaded.remove(&module).is_some() { SUCCESS } else { INVALID_HANDLE }
}

/// # Safety
/// `name` leads to a text that ends with a zero; `to` to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    to: *mut u64,
    module: u64,
    name: *const c_char,
) -> Result {
    // SAFETY: the caller says so.
    let name = unsafe { text(name) };
    let mut engine = engine();
    let Some(loaded) = engine.modules.loaded.get(&module).cloned() else { return INVALID_HANDLE };
    if !loaded.module.has_entry(name) {
        return NOT_FOUND;
    }
    let handle = engine.new_handle();
    engine.modules.kernels.insert(handle, (loaded, name.to_owned()));
    // SAFETY: the caller says so.
    unsafe { put(to, handle) };
    SUCCESS
}

/// # Safety
/// `params` leads to as many pointers as the kernel has parameters, each to one of its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    kernel: u64,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: u64,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result {
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return INVALID_HANDLE };
    let Some((loaded, name)) = engine.modules.kernels.get(&kernel).cloned() else {
        return INVALID_HANDLE;
    };
    if !extra.is_null() {
        crate::fault(&format!("the kernel {name} is given its parameters in one piece"));
    }
    let program = program(&mut engine, &loaded, &name);
    let program =
        program.unwrap_or_else(|what| crate::fault(&format!("the kernel {name}: {what}")));
    let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
    let num_threads: u64 = block.iter().map(|of| u64::from(*of)).product();
    let shared = program.entry.shared_bytes + shared_bytes as usize;
    if grid.contains(&0)
        || grid_x > i32::MAX as u32
        || grid_y.max(grid_z) > MOST_BLOCKS
        || !(1..=MOST_THREADS).contains(&num_threads)
        || shared > MOST_SHARED
    {
        eprintln!(
            "emulator: the kernel {name} with blocks {grid:?} of {block:?} and {shared} bytes"
        );
        return INVALID_VALUE;
    }
    let mut bytes = vec![0; program.entry.param_bytes];
    for (place, (len, at)) in program.entry.params.iter().enumerate() {
        // SAFETY: the caller says that there are as many, each of its size.
        let param = unsafe { std::slice::from_raw_parts((*params.add(place)).cast::<u8>(), *len) };
        bytes[*at..at + len].copy_from_slice(param);
    }
    let device = engine.device_of(stream);
    let shared_bytes = shared_bytes as usize;
    let launch = Launch {
        program,
        grid,
        block,
        shared_bytes,
        params: bytes,
        device,
        is_backward: engine.toss(),
        is_watched: options().is_watched,
    };
    engine.queue_work(stream, move |memory| machine::run(&launch, memory));
    SUCCESS
}

/// A kernel with all that it calls, read when it is launched for the first time.
fn program(
    engine: &mut Engine,
    loaded: &Loaded,
    name: &str,
) -> std::result::Result<Arc<Program>, String> {
    let key = (loaded.number, name.to_owned());
    if let Some(program) = engine.modules.programs.get(&key) {
        return Ok(Arc::clone(program));
    }
    let Engine { memory, modules, .. } = engine;
    let mut read = |name: &str| {
        let variables = &mut modules.variables;
        let mut resolve = |name: &str| variable(memory, variables, loaded, name);
        loaded.module.function(name, &mut resolve).map(|found| found.map(Arc::new))
    };
    let entry = read(name)?.ok_or("it has no code")?;
    let (mut others, mut next) = (BTreeMap::new(), vec![Arc::clone(&entry)]);
    while let Some(function) = next.pop() {
        for instr in &function.code {
            let Op::Call(call) = &instr.op else { continue };
            if !others.contains_key(&call.name) {
                let called = read(&call.name)?;
                next.extend(called.clone());
                others.insert(call.name.clone(), called);
            }
        }
    }
    let program = Arc::new(Program { entry, others });
    modules.programs.insert(key, Arc::clone(&program));
    Ok(program)
}

/// Where a module's variable is, which all devices see.
fn variable(
    memory: &mut Memory,
    variables: &mut BTreeMap<(usize, String), u64>,
    loaded: &Loaded,
    name: &str,
) -> Option<u64> {
    let key = (loaded.number, name.to_owned());
    if let Some(address) = variables.get(&key) {
        return Some(*address);
    }
    let bytes = loaded.module.variable(name)?;
    let len = bytes.len() as u64;
    let address = memory.reserve(None, len);
    memory.give(address);
    memory.write(address, len).ok()?.copy_from_slice(&bytes);
    variables.insert(key, address);
    Some(address)
}
