//! Tests of expert meshes.
