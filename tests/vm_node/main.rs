//! A node from end to end: services imported, started, reached, stopped; what
//! is left of them, and of the node itself.

mod children;
mod life;
mod slots;
