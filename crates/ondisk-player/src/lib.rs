//! The page that plays a write on its way to disk, and what is put into it.
