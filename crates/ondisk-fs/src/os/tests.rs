//! Tests of the real file system.
