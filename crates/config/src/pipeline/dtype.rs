//! The element types that can be named in a configuration.

use crate::choice::choices;

choices! {
    /// The element type of the tensors that cross a stage boundary.
    pub enum DType("dtype") {
        /// 32 bit IEEE 754.
        Float32 = "float32" | "float" | "fp32" | "f32" | "torch.float32" | "torch.float",
        /// 16 bit: 8 of exponent, 7 of mantissa.
        BFloat16 = "bfloat16" | "bf16" | "torch.bfloat16",
        /// 16 bit IEEE 754.
        Float16 = "float16" | "half" | "fp16" | "f16" | "torch.float16" | "torch.half",
        /// 64 bit IEEE 754.
        Float64 = "float64" | "double" | "fp64" | "f64" | "torch.float64" | "torch.double",
    }
}
