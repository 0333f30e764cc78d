//! Each broken rule is noticed.
