//! The ways to the processes of other ranks: MPI, where it is compiled in, and TCP.

#[cfg(feature = "mpi")]
pub(super) mod mpi;
#[cfg(not(feature = "mpi"))]
#[path = "absent.rs"]
pub(super) mod mpi;
pub(crate) mod tcp;
