//! UDP, and UDP-Lite, which differs in what is checksummed: nothing, here.

mod end;
mod flow;

pub use end::End;
pub use flow::arrive;
