//! stub
/// stub
#[derive(Debug)] pub struct OsFs;
