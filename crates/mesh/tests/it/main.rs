//! The crate seen from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod properties; // what holds for every mesh, part of a mesh and expert mesh
