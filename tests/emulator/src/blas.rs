//! The products of matrices of cuBLAS, in order of columns, added up in what is asked for.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_longlong, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::driver::{SUCCESS, stream_of};
use crate::engine::engine;
use crate::memory::Memory;
use crate::ptx::{from_bf16, from_f16, to_bf16, to_f16};
use crate::put;

/// How many rows are multiplied with all columns before the next.
const ROWS: usize = 16;

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

/// The type of numbers, as `cudaDataType` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    F32,
    F64,
    F16,
    BF16,
}

impl Type {
    fn of(number: c_int) -> Option<Self> {
        match number {
            0 => Some(Self::F32),
            1 => Some(Self::F64),
            2 => Some(Self::F16),
            14 => Some(Self::BF16),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
            Self::F16 | Self::BF16 => 2,
        }
    }

    fn read(self, bytes: &[u8]) -> f64 {
        match (self, bytes) {
            (Self::F16, &[a, b]) => f64::from(from_f16(u16::from_le_bytes([a, b]))),
            (Self::BF16, &[a, b]) => f64::from(from_bf16(u16::from_le_bytes([a, b]))),
            (Self::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Self::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => f64::NAN,
        }
    }

    fn write(self, to: &mut [u8], number: f64) {
        match self {
            Self::F16 => to.copy_from_slice(&to_f16(number).to_le_bytes()),
            Self::BF16 => to.copy_from_slice(&to_bf16(number).to_le_bytes()),
            Self::F32 => to.copy_from_slice(&(number as f32).to_le_bytes()),
            Self::F64 => to.copy_from_slice(&number.to_le_bytes()),
        }
    }
}

/// A batch of matrices: where, of what, how far the columns are from each other, and the matrices.
#[derive(Clone, Copy, Debug)]
struct Matrices {
    address: u64,
    of: Type,
    leading: usize,
    stride: i64,
    is_transposed: bool,
}

impl Matrices {
    /// The bytes of one, of which `rows` and `columns` are used as it lies there.
    fn extent(&self, number: usize, rows: usize, columns: usize) -> (u64, u64) {
        let len = (columns - 1) * self.leading + rows;
        let start = self.stride * number as i64 * self.of.bytes() as i64;
        (self.address.wrapping_add_signed(start), (len * self.of.bytes()) as u64)
    }

    /// The numbers of one, row by row if `by_rows` and else column by column, once it is transposed.
    fn read<N: Sum>(
        &self,
        memory: &Memory,
        number: usize,
        [rows, columns]: [usize; 2],
        by_rows: bool,
    ) -> Result<Vec<N>, String> {
        let [here, across] = if self.is_transposed { [columns, rows] } else { [rows, columns] };
        let (address, len) = self.extent(number, here, across);
        let bytes = memory.read(address, len)?;
        let width = self.of.bytes();
        let at = |row: usize, column: usize| {
            let place = if self.is_transposed {
                row * self.leading + column
            } else {
                column * self.leading + row
            };
            N::of(self.of.read(&bytes[place * width..(place + 1) * width]))
        };
        Ok(if by_rows {
            (0..rows)
                .flat_map(|row| (0..columns).map(move |column| (row, column)))
                .map(|(r, c)| at(r, c))
                .collect()
        } else {
            (0..columns)
                .flat_map(|column| (0..rows).map(move |row| (row, column)))
                .map(|(r, c)| at(r, c))
                .collect()
        })
    }
}

/// `c = alpha * a b + beta * c`.
struct Product {
    sizes: [usize; 3],
    alpha: f64,
    beta: f64,
    a: Matrices,
    b: Matrices,
    c: Matrices,
    num: usize,
    is_double: bool,
}

/// What is added up in.
trait Sum: Copy {
    fn of(number: f64) -> Self;
    fn dot(a: &[Self], b: &[Self]) -> f64;
}

/// Several sums side by side, as a processor adds them.
macro_rules! sum {
    ($type:ty) => {
        impl Sum for $type {
            fn of(number: f64) -> Self {
                number as Self
            }
            fn dot(a: &[Self], b: &[Self]) -> f64 {
                const LANES: usize = 16;
                let mut sums = [0 as Self; LANES];
                let (a, b) = (a.chunks(LANES), b.chunks(LANES));
                for (a, b) in a.zip(b) {
                    if let (Ok(a), Ok(b)) =
                        (<&[Self; LANES]>::try_from(a), <&[Self; LANES]>::try_from(b))
                    {
                        for lane in 0..LANES {
                            sums[lane] += a[lane] * b[lane];
                        }
                    } else {
                        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                            *sum += a * b;
                        }
                    }
                }
                sums.iter().sum::<Self>().into()
            }
        }
    };
}
sum!(f32);
sum!(f64);

fn multiply<N: Sum>(product: &Product, memory: &mut Memory) -> Result<(), String> {
    let [m, n, k] = product.sizes;
    for number in 0..product.num {
        let (a, b) = if k == 0 {
            (Vec::new(), Vec::new())
        } else {
            let a = product.a.read::<N>(memory, number, [m, k], true)?;
            (a, product.b.read::<N>(memory, number, [k, n], false)?)
        };
        let (address, len) = product.c.extent(number, m, n);
        let (of, width) = (product.c.of, product.c.of.bytes());
        let c = memory.write(address, len)?;
        // Some rows at a time, which stay near the processor for all columns.
        for first in (0..m).step_by(ROWS) {
            for column in 0..n {
                let b = &b[column * k..(column + 1) * k];
                for row in first..m.min(first + ROWS) {
                    let sum = product.alpha * N::dot(&a[row * k..(row + 1) * k], b);
                    let at = (column * product.c.leading + row) * width;
                    let c = &mut c[at..at + width];
                    // What was there is not looked at if it counts nothing.
                    let before = if product.beta == 0. { 0. } else { product.beta * of.read(c) };
                    of.write(c, sum + before);
                }
            }
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_of_columns() {
        let mut memory = Memory::default();
        let numbers = |memory: &mut Memory, numbers: &[f64]| {
            let address = memory.reserve(None, numbers.len() as u64 * 8);
            memory.give(address);
            for (place, number) in numbers.iter().enumerate() {
                let to = memory.write(address + place as u64 * 8, 8).unwrap();
                to.copy_from_slice(&number.to_le_bytes());
            }
            address
        };
        let (a, b) = (
            numbers(&mut memory, &[1., 2., 3., 4., 5., 6.]),
            numbers(&mut memory, &[1., 10., 100.]),
        );
        let c = numbers(&mut memory, &[f64::NAN; 2]);
        let of = |address, leading, is_transposed| Matrices {
            address,
            of: Type::F64,
            leading,
            stride: 0,
            is_transposed,
        };
        for (is_transposed, leading, expected) in
            [(false, 2, [531., 642.]), (true, 3, [321., 654.])]
        {
            let product = Product {
                sizes: [2, 1, 3],
                alpha: 1.,
                beta: 0.,
                a: of(a, leading, is_transposed),
                b: of(b, 3, false),
                c: of(c, 2, false),
                num: 1,
                is_double: true,
            };
            multiply::<f64>(&product, &mut memory).unwrap();
            let found = memory.read(c, 16).unwrap().chunks(8).map(|bytes| Type::F64.read(bytes));
            assert_eq!(found.collect::<Vec<_>>(), expected);
        }
    }
}
