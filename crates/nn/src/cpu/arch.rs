//! One choice of the instruction set for all kernels, made at run time.

/// Runs `body` compiled for the instruction set of this machine: AVX-512, AVX2 with FMA, or what
/// every machine has.
///
/// `body` must be a closure marked `#[inline(always)]` and call only what is inlined: that is how
/// the loops in it come into a function compiled for each set. The choice costs some nanoseconds,
/// nothing per row and much per number.
///
/// The result is the same to the bit on all of them: the compiler joins no product and sum to one
/// rounding on its own, and the order of additions is fixed by the code.
#[inline(always)]
pub(crate) fn vectorised<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}
