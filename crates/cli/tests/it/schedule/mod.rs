//! `autopipe schedule`: what people and other programs read.

mod compare; // figures side by side
mod generate; // a schedule by its name
mod help; // help texts and their examples
mod input; // where schedules come from
mod lower; // sends, receives and all other passes
mod placement; // stages of each rank
mod render; // pictures
mod search; // schedules for costs and memory
mod simulate; // figures of one schedule
mod validate; // proofs and violations
