//! Products of matrices, in order of columns, added up in what is asked for.

use std::ffi::c_int;

use crate::memory::Memory;
use crate::ptx::{from_bf16, from_f16, to_bf16, to_f16};

/// How many rows are multiplied with all columns before the next.
const ROWS: usize = 16;

/// The type of numbers, as `cudaDataType` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    F32,
    F64,
    F16,
    BF16,
}

impl Type {
    pub(super) fn of(number: c_int) -> Option<Self> {
        match number {
            0 => Some(Self::F32),
            1 => Some(Self::F64),
            2 => Some(Self::F16),
            14 => Some(Self::BF16),
            _ => None,
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
            Self::F16 | Self::BF16 => 2,
        }
    }

    pub(super) fn read(self, bytes: &[u8]) -> f64 {
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
pub(super) struct Matrices {
    pub(super) address: u64,
    pub(super) of: Type,
    pub(super) leading: usize,
    pub(super) stride: i64,
    pub(super) is_transposed: bool,
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
pub(super) struct Product {
    pub(super) sizes: [usize; 3],
    pub(super) alpha: f64,
    pub(super) beta: f64,
    pub(super) a: Matrices,
    pub(super) b: Matrices,
    pub(super) c: Matrices,
    pub(super) num: usize,
    pub(super) is_double: bool,
}

/// What is added up in.
pub(super) trait Sum: Copy {
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

pub(super) fn multiply<N: Sum>(product: &Product, memory: &mut Memory) -> Result<(), String> {
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
