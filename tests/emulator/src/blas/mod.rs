//! The functions of cuBLAS.

mod product;

use std::collections::BTreeMap;
use std::ffi::{c_int, c_longlong, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::driver::{SUCCESS, stream_of};
use crate::engine::engine;
use crate::put;
use product::{Matrices, Product, Type, multiply};

const NOT_INITIALIZED: c_int = 1;
const INVALID_VALUE: c_int = 7;
const EXECUTION_FAILED: c_int = 13;
const NOT_SUPPORTED: c_int = 15;

/// The stream of each handle; zero is the device's own.
fn handles() -> MutexGuard<'static, BTreeMap<u64, u64>> {
    static HANDLES: Mutex<BTreeMap<u64, u64>> = Mutex::new(BTreeMap::new());
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// `to` leads to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasCreate_v2(to: *mut u64) -> c_int {
    let handle = engine().new_handle();
    handles().insert(handle, 0);
    // SAFETY: the caller says so.
    unsafe { put(to, handle) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasDestroy_v2(handle: u64) -> c_int {
    if handles().remove(&handle).is_some() { SUCCESS } else { NOT_INITIALIZED }
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasSetStream_v2(handle: u64, stream: u64) -> c_int {
    match handles().get_mut(&handle) {
        Some(of) => {
            *of = stream;
            SUCCESS
        }
        None => NOT_INITIALIZED,
    }
}

fn queue(handle: u64, product: Product) -> c_int {
    let Some(stream) = handles().get(&handle).copied() else { return NOT_INITIALIZED };
    let mut engine = engine();
    let Some(stream) = stream_of(&mut engine, stream) else { return EXECUTION_FAILED };
    if product.sizes[0] == 0 || product.sizes[1] == 0 || product.num == 0 {
        return SUCCESS;
    }
    engine.queue_work(stream, move |memory| {
        let done = if product.is_double {
            multiply::<f64>(&product, memory)
        } else {
            multiply::<f32>(&product, memory)
        };
        let [m, n, k] = product.sizes;
        done.map_err(|what| {
            format!("a product of {} times {m}x{k} and {k}x{n}: {what}", product.num)
        })
    });
    SUCCESS
}

/// What both functions are given alike; `None` where cuBLAS refuses it.
fn sizes(
    sizes: [c_int; 3],
    num: c_int,
    leading: [c_int; 3],
    turned: [c_int; 2],
) -> Option<[usize; 3]> {
    let [m, n, k] = sizes.map(usize::try_from);
    let (m, n, k) = (m.ok()?, n.ok()?, k.ok()?);
    let rows = [if turned[0] == 0 { m } else { k }, if turned[1] == 0 { k } else { n }, m];
    let is_wide = |(leading, rows): (&c_int, usize)| {
        usize::try_from(*leading).is_ok_and(|of| of >= rows.max(1))
    };
    (num >= 0 && leading.iter().zip(rows).all(is_wide)).then_some([m, n, k])
}

/// # Safety
/// `alpha` and `beta` lead to numbers of the type that is computed in.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasGemmStridedBatchedEx(
    handle: u64,
    turns_a: c_int,
    turns_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: u64,
    type_a: c_int,
    leading_a: c_int,
    stride_a: c_longlong,
    b: u64,
    type_b: c_int,
    leading_b: c_int,
    stride_b: c_longlong,
    beta: *const c_void,
    c: u64,
    type_c: c_int,
    leading_c: c_int,
    stride_c: c_longlong,
    num: c_int,
    computes_in: c_int,
    _how: c_int,
) -> c_int {
    let of = match computes_in {
        64 | 65 => Type::F16,
        // With or without shorter factors.
        68 | 69 | 74 | 75 | 77 => Type::F32,
        70 | 71 => Type::F64,
        _ => return NOT_SUPPORTED,
    };
    let sizes = sizes([m, n, k], num, [leading_a, leading_b, leading_c], [turns_a, turns_b]);
    let Some(sizes) = sizes else { return INVALID_VALUE };
    // SAFETY: the caller says so.
    let factor =
        |at: *const c_void| unsafe { std::slice::from_raw_parts(at.cast::<u8>(), of.bytes()) };
    let (alpha, beta) = (of.read(factor(alpha)), of.read(factor(beta)));
    let matrices = |address, number, leading: c_int, stride, turns: c_int| {
        let of = Type::of(number)?;
        Some(Matrices { address, of, leading: leading as usize, stride, is_transposed: turns != 0 })
    };
    let (Some(a), Some(b), Some(c)) = (
        matrices(a, type_a, leading_a, stride_a, turns_a),
        matrices(b, type_b, leading_b, stride_b, turns_b),
        matrices(c, type_c, leading_c, stride_c, 0),
    ) else {
        return NOT_SUPPORTED;
    };
    let is_double = of == Type::F64;
    queue(handle, Product { sizes, alpha, beta, a, b, c, num: num as usize, is_double })
}

/// # Safety
/// `alpha` and `beta` lead to numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasDgemmStridedBatched(
    handle: u64,
    turns_a: c_int,
    turns_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const f64,
    a: u64,
    leading_a: c_int,
    stride_a: c_longlong,
    b: u64,
    leading_b: c_int,
    stride_b: c_longlong,
    beta: *const f64,
    c: u64,
    leading_c: c_int,
    stride_c: c_longlong,
    num: c_int,
) -> c_int {
    // SAFETY: the caller says what is said there; doubles are type 1, and computed in by number 70.
    unsafe {
        cublasGemmStridedBatchedEx(
            handle,
            turns_a,
            turns_b,
            m,
            n,
            k,
            alpha.cast(),
            a,
            1,
            leading_a,
            stride_a,
            b,
            1,
            leading_b,
            stride_b,
            beta.cast(),
            c,
            1,
            leading_c,
            stride_c,
            num,
            70,
            0,
        )
    }
}
