//! Tests of what axes are for.
