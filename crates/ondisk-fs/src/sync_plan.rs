//! Which call makes data durable on which platform. (stub)

/// Platform.
#[derive(Clone, Copy, Debug)]
pub enum Platform { /// Linux
 Linux }
/// Call
#[derive(Clone, Copy, Debug)]
pub enum Call { /// x
 X }
/// cache
#[derive(Clone, Copy, Debug)]
pub enum DriveCache { /// x
 X }
/// plan
#[derive(Clone, Copy, Debug)]
pub struct SyncPlan;
