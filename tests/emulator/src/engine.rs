//! Streams: queues of tasks, which happen in the order of their stream and after what they wait for, and
//! otherwise as late as possible, so that whoever forgets to wait reads what is not there yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::driver::Modules;
use crate::memory::Memory;
use crate::nccl::Nccl;
use crate::options::{Order, options};

/// What a handle leads to: no two of any kind are the same.
pub(crate) type Handle = u64;

type Work = Box<dyn FnOnce(&mut Memory) -> Result<(), String> + Send>;

pub(crate) enum Task {
    Work(Work),
    /// Goes on once another stream has done so many tasks.
    Wait(Moment),
    /// A message of NCCL's, which waits for its other end.
    Exchange(Handle),
}

/// When a stream has done so many tasks since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) stream: Handle,
    pub(crate) count: u64,
}

struct Stream {
    device: usize,
    tasks: VecDeque<Task>,
    num_done: u64,
    /// While somebody runs it: what it waits for may lead back to it.
    is_running: bool,
}

/// An event: what its stream was at when it was recorded.
#[derive(Default)]
pub(crate) struct Event {
    pub(crate) moment: Option<Moment>,
    /// Whether somebody has asked since whether it has passed.
    pub(crate) was_asked: bool,
}

/// How many bytes of a device are in use, as its pool counts them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Use {
    pub(crate) now: u64,
    pub(crate) high: u64,
}

#[derive(Default)]
pub(crate) struct Engine {
    pub(crate) memory: Memory,
    streams: BTreeMap<Handle, Stream>,
    /// The streams that a device, or a thread with it, has without asking.
    defaults: BTreeMap<(usize, Option<u64>), Handle>,
    pub(crate) events: BTreeMap<Handle, Event>,
    pub(crate) modules: Modules,
    pub(crate) nccl: Nccl,
    pub(crate) uses: BTreeMap<usize, Use>,
    num_handles: u64,
    random: u64,
}

static ENGINE: Mutex<Option<Engine>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

/// The one engine of the process, as whoever has it.
pub(crate) struct Held(MutexGuard<'static, Option<Engine>>);

impl std::ops::Deref for Held {
    type Target = Engine;
    fn deref(&self) -> &Engine {
        self.0.as_ref().unwrap_or_else(|| crate::fault("there is no engine"))
    }
}

impl std::ops::DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Engine {
        self.0.as_mut().unwrap_or_else(|| crate::fault("there is no engine"))
    }
}

pub(crate) fn engine() -> Held {
    let mut held = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    held.get_or_insert_default();
    Held(held)
}

impl Held {
    /// Waits until something has been queued, or ended, by another thread.
    pub(crate) fn wait_for_change(self) -> Self {
        if self.nccl.has_mail() {
            let rest = Duration::from_millis(1);
            return Self(
                CHANGED.wait_timeout(self.0, rest).unwrap_or_else(PoisonError::into_inner).0,
            );
        }
        Self(CHANGED.wait(self.0).unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs what has to be for a moment to pass; what is missing for it has to come from other threads.
    pub(crate) fn wait(mut self, moment: Moment) -> Self {
        while !self.run(moment) {
            self = self.wait_for_change();
        }
        self
    }
}

impl Engine {
    pub(crate) fn new_handle(&mut self) -> Handle {
        self.num_handles += 1;
        0x1000 + self.num_handles * 16
    }

    pub(crate) fn new_stream(&mut self, device: usize) -> Handle {
        let handle = self.new_handle();
        let stream = Stream { device, tasks: VecDeque::new(), num_done: 0, is_running: false };
        self.streams.insert(handle, stream);
        handle
    }

    pub(crate) fn default_stream(&mut self, device: usize, thread: Option<u64>) -> Handle {
        if let Some(stream) = self.defaults.get(&(device, thread)) {
            return *stream;
        }
        let stream = self.new_stream(device);
        self.defaults.insert((device, thread), stream);
        stream
    }

    fn stream(&mut self, handle: Handle) -> &mut Stream {
        let stream = self.streams.get_mut(&handle);
        stream
            .unwrap_or_else(|| crate::fault(&format!("{handle:#x} is no stream, or none any more")))
    }

    pub(crate) fn has_stream(&self, handle: Handle) -> bool {
        self.streams.contains_key(&handle)
    }

    pub(crate) fn device_of(&mut self, stream: Handle) -> usize {
        self.stream(stream).device
    }

    /// When all that is queued now is done.
    pub(crate) fn end_of(&mut self, handle: Handle) -> Moment {
        let stream = self.stream(handle);
        Moment { stream: handle, count: stream.num_done + stream.tasks.len() as u64 }
    }

    pub(crate) fn queue(&mut self, stream: Handle, task: Task) -> Moment {
        self.stream(stream).tasks.push_back(task);
        let moment = self.end_of(stream);
        match options().order {
            Order::Late => {}
            Order::Early => {
                self.run(moment);
            }
            Order::Random(_) => self.run_some(),
        }
        CHANGED.notify_all();
        moment
    }

    pub(crate) fn queue_work(
        &mut self,
        stream: Handle,
        work: impl FnOnce(&mut Memory) -> Result<(), String> + Send + 'static,
    ) {
        self.queue(stream, Task::Work(Box::new(work)));
    }

    /// A number that the order's seed gives; zero without one.
    fn next_random(&mut self) -> usize {
        let Order::Random(seed) = options().order else { return 0 };
        self.random = (self.random ^ seed).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) as usize
    }

    /// Whether something is to be in another order than usual.
    pub(crate) fn toss(&mut self) -> bool {
        self.next_random() & 1 == 1
    }

    /// Runs any stream as far as a number says, or none.
    fn run_some(&mut self) {
        let number = self.next_random();
        let Some((&stream, of)) = self.streams.iter().nth(number % (self.streams.len() * 2)) else {
            return;
        };
        let count = of.num_done + (number >> 8) as u64 % (of.tasks.len() as u64 + 1);
        self.run(Moment { stream, count });
    }

    /// Whether a moment has passed, after all has been done for it that can be.
    pub(crate) fn run(&mut self, moment: Moment) -> bool {
        let Some(stream) = self.streams.get_mut(&moment.stream) else { return true };
        if stream.is_running {
            return stream.num_done >= moment.count;
        }
        stream.is_running = true;
        let mut has_passed = true;
        loop {
            let stream = self.stream(moment.stream);
            if stream.num_done >= moment.count {
                break;
            }
            let Some(task) = stream.tasks.pop_front() else { break };
            let left = match task {
                Task::Work(work) => {
                    work(&mut self.memory).unwrap_or_else(|what| crate::fault(&what));
                    None
                }
                Task::Wait(for_what) => (!self.run(for_what)).then_some(Task::Wait(for_what)),
                Task::Exchange(id) => (!self.exchange(id)).then_some(Task::Exchange(id)),
            };
            let stream = self.stream(moment.stream);
            if let Some(task) = left {
                stream.tasks.push_front(task);
                has_passed = false;
                break;
            }
            stream.num_done += 1;
        }
        self.stream(moment.stream).is_running = false;
        CHANGED.notify_all();
        has_passed
    }

    /// The ends of all streams of a device.
    pub(crate) fn ends_of_device(&mut self, device: usize) -> Vec<Moment> {
        let of_device = self.streams.iter().filter(|(_, stream)| stream.device == device);
        let streams: Vec<Handle> = of_device.map(|(handle, _)| *handle).collect();
        streams.into_iter().map(|stream| self.end_of(stream)).collect()
    }

    /// A stream is given up. What is queued still happens, and with it the time has come.
    pub(crate) fn end_stream(&mut self, handle: Handle) {
        let end = self.end_of(handle);
        if self.run(end) {
            self.streams.remove(&handle);
        }
    }

    pub(crate) fn changed() {
        CHANGED.notify_all();
    }
}
