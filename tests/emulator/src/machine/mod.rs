//! Runs a kernel: block by block, thread by thread, each as far as it comes without the others.

mod access;
mod meeting;
mod races;
mod thread;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::memory::Memory;
use crate::ptx::{Function, Op, slots};
use access::Reach;
use thread::{State, Thread};

/// What a generic address of shared memory begins at, and one of a thread's own.
pub(crate) const SHARED_WINDOW: u64 = 0x1_0000_0000;
pub(crate) const LOCAL_WINDOW: u64 = 0x2_0000_0000;
/// The threads of a warp.
const WARP: usize = 32;
/// What shared memory holds at first.
const FRESH: u8 = 0xff;

/// A kernel with what it calls; what has no body is the driver's.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) entry: Arc<Function>,
    pub(crate) others: BTreeMap<String, Option<Arc<Function>>>,
}

pub(crate) struct Launch {
    pub(crate) program: Arc<Program>,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    /// Bytes beside what the kernel declares.
    pub(crate) shared_bytes: usize,
    pub(crate) params: Vec<u8>,
    pub(crate) device: usize,
    /// Whether the last block comes first.
    pub(crate) is_backward: bool,
    /// Whether threads are watched for what they do to each other's memory.
    pub(crate) is_watched: bool,
}

/// # Errors
/// Tells which thread has done what it may not.
pub(crate) fn run(launch: &Launch, memory: &mut Memory) -> Result<(), String> {
    let function = &launch.program.entry;
    let num_threads = launch.block.iter().product::<u32>() as usize;
    let mut reach = Reach::new(memory, launch.device, function.shared_bytes + launch.shared_bytes);
    if launch.is_watched {
        reach.races.watch();
    }
    let num_at_once = if function.has_meetings { num_threads } else { 1 };
    let mut threads: Vec<Thread> =
        (0..num_at_once).map(|_| Thread::new(&launch.program, &launch.params)).collect();
    let num_blocks = launch.grid.iter().map(|of| *of as usize).product();
    for block in 0..num_blocks {
        // Whose order nobody may rely on.
        let block = if launch.is_backward { num_blocks - 1 - block } else { block };
        let place = along(block, launch.grid);
        reach.shared.fill(FRESH);
        reach.races.now(block);
        let ran = if function.has_meetings {
            run_together(launch, &mut threads, place, &mut reach)
        } else {
            (0..num_threads).try_for_each(|number| {
                let thread = &mut threads[0];
                begin(thread, launch, place, number);
                reach.races.now(block * num_threads + number);
                let ran = thread.run(&launch.program, &mut reach);
                ran.map(drop).map_err(|what| (number, what))
            })
        };
        ran.map_err(|(number, what)| {
            let thread = along(number, launch.block);
            let (name, grid, size) = (&function.name, launch.grid, launch.block);
            format!(
                "the kernel {name}, block {place:?} of {grid:?}, thread {thread:?} of {size:?}: {what}"
            )
        })?;
    }
    Ok(())
}

/// The coordinates of a number, the first running fastest.
fn along(number: usize, size: [u32; 3]) -> [u32; 3] {
    let [x, y] = [size[0] as usize, size[1] as usize];
    [(number % x) as u32, (number / x % y) as u32, (number / x / y) as u32]
}

fn begin(thread: &mut Thread, launch: &Launch, block: [u32; 3], number: usize) {
    thread.restart();
    let at = along(number, launch.block);
    let known = [
        (slots::TID, at),
        (slots::NTID, launch.block),
        (slots::CTAID, block),
        (slots::NCTAID, launch.grid),
    ];
    for (first, numbers) in known {
        for (slot, number) in (first..).zip(numbers) {
            thread.set(slot, u64::from(number));
        }
    }
    thread.set(slots::LANE, (number % WARP) as u64);
}

/// Threads that wait for each other: all go on in turn until all are done.
fn run_together(
    launch: &Launch,
    threads: &mut [Thread],
    block: [u32; 3],
    reach: &mut Reach<'_>,
) -> Result<(), (usize, String)> {
    for (number, thread) in threads.iter_mut().enumerate() {
        begin(thread, launch, block, number);
    }
    loop {
        for (number, thread) in threads.iter_mut().enumerate() {
            if thread.state == State::Running {
                thread.run(&launch.program, reach).map_err(|what| (number, what))?;
            }
        }
        if threads.iter().all(|thread| thread.state == State::Done) {
            return Ok(());
        }
        let mut has_met = false;
        for warp in threads.chunks_mut(WARP) {
            has_met |= meeting::of_warp(warp);
        }
        if has_met {
            continue;
        }
        let mut left = threads.iter().enumerate().filter(|(_, thread)| thread.state != State::Done);
        if let Some((number, thread)) =
            left.find(|(_, thread)| !matches!(thread.stopped_at(), Op::Barrier))
        {
            let what =
                format!("waits for ever for others of its warp at {:?}", thread.stopped_at());
            return Err((number, what));
        }
        for thread in threads.iter_mut().filter(|thread| thread.state == State::Waiting) {
            thread.state = State::Running;
        }
    }
}
