//! Accounts of bytes: one for each rank of a process, charged by the threads that work for it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

/// How many accounts there are. They are handed out in turn, so that what a rank that has ended left
/// behind is rarely given back while its account is another's.
const NUM_ACCOUNTS: usize = 512;

/// The account of threads that work for no rank.
const NOBODY: usize = 0;

/// Alone in its cache lines, or ranks would wait for each other here.
#[repr(align(128))]
struct Counter {
    held: AtomicI64,
    peak: AtomicI64,
    /// What an earlier owner had left when the account was opened.
    start: AtomicI64,
}

impl Counter {
    const fn new() -> Self {
        Self { held: AtomicI64::new(0), peak: AtomicI64::new(0), start: AtomicI64::new(0) }
    }
}

static COUNTERS: [Counter; NUM_ACCOUNTS] = [const { Counter::new() }; NUM_ACCOUNTS];
static NUM_OPENED: AtomicUsize = AtomicUsize::new(0);
static IS_COUNTING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Which account the thread charges; plain enough to be read within an allocator.
    static CHARGED: Cell<usize> = const { Cell::new(NOBODY) };
}

/// The bytes that a rank holds: all that its threads have allocated and nobody has freed.
///
/// A tensor counts for the rank that made it, wherever it is freed. Nothing is counted unless the
/// program's allocator is a [`CountingAllocator`](super::CountingAllocator).
///
/// # Examples
/// ```
/// use autopipe_runtime::memory::{Account, CountingAllocator};
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator<System> = CountingAllocator::new(System);
///
/// let account = Account::open();
/// account.charge(); // from here on, this thread works for it
/// let before = account.held().expect("the allocator above counts");
/// let numbers = vec![1u8; 10_000];
/// assert_eq!(account.held(), Some(before + 10_000));
/// drop(numbers);
/// assert_eq!(account.held(), Some(before));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Account {
    index: usize,
}

impl Account {
    /// An account of its own, with nothing in it. After some five hundred an old one is taken again;
    /// what its owner frees only then counts against the new one.
    #[must_use]
    pub fn open() -> Self {
        let index = 1 + NUM_OPENED.fetch_add(1, Ordering::Relaxed) % (NUM_ACCOUNTS - 1);
        let counter = &COUNTERS[index];
        let start = counter.held.load(Ordering::Relaxed);
        counter.peak.store(start, Ordering::Relaxed);
        counter.start.store(start, Ordering::Relaxed);
        Self { index }
    }

    /// The account that this thread charges, if any.
    #[must_use]
    pub fn of_thread() -> Option<Self> {
        let index = CHARGED.get();
        (index != NOBODY).then_some(Self { index })
    }

    /// Charges to this account whatever the thread allocates from now on.
    pub fn charge(self) {
        CHARGED.set(self.index);
    }

    /// How many bytes are held now; `None` if nothing is counted.
    #[must_use]
    pub fn held(self) -> Option<u64> {
        self.count(|counter| &counter.held)
    }

    /// The most bytes that were held since the account was opened or
    /// [`restart_peak`](Self::restart_peak) was called; `None` if nothing is counted.
    #[must_use]
    pub fn peak(self) -> Option<u64> {
        self.count(|counter| &counter.peak)
    }

    /// Lets the peak start from what is held now.
    pub fn restart_peak(self) {
        let counter = &COUNTERS[self.index];
        counter.peak.store(counter.held.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn count(self, of: fn(&Counter) -> &AtomicI64) -> Option<u64> {
        let counter = &COUNTERS[self.index];
        let start = counter.start.load(Ordering::Relaxed);
        let count = (of(counter).load(Ordering::Relaxed) - start).max(0);
        IS_COUNTING.load(Ordering::Relaxed).then_some(count.unsigned_abs())
    }
}

/// Where the thread's allocations are counted.
pub(super) fn charged() -> usize {
    // A thread that is ending has no such place any more.
    CHARGED.try_with(Cell::get).unwrap_or(NOBODY)
}

/// Counts `bytes` more, or less, in the account of this index.
pub(super) fn add(index: usize, bytes: i64) {
    let Some(counter) = COUNTERS.get(index) else { return };
    let held = counter.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
    if held > counter.peak.load(Ordering::Relaxed) {
        counter.peak.fetch_max(held, Ordering::Relaxed);
    }
    if !IS_COUNTING.load(Ordering::Relaxed) {
        IS_COUNTING.store(true, Ordering::Relaxed);
    }
}
