//! MPI.
fn main() {}
