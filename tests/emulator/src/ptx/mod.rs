//! PTX: from the text of a module to functions of instructions over numbered registers.

mod arithmetic;
mod compare;
mod convert;
mod decode;
mod function;
mod half;
mod memory;
mod module;
mod number;
mod scope;
mod text;
mod wide;

pub(crate) use function::{
    Access, Atom, Call, Carry, Function, Op, Place, Shuffle, Slot, Space, Sum, Vote, slots,
};
pub(crate) use half::{from_bf16, from_f16, to_bf16, to_f16};
pub(crate) use module::Module;
