//! Tests of what activations have in common; their numbers are tested where they are.

mod on_gpu;
