//! What each rank holds, counted where memory is asked for and given back.

mod account;
mod allocator;

pub use account::Account;
pub use allocator::CountingAllocator;
