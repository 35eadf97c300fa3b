//! Every reader gets every window, and whatever ends a feed ends it for all and without a hang.

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use autopipe_config::Arrange;

use super::*;
use crate::data::memory::{Memory, Taken, loader, options, rows};
use crate::data::{Content, Sample, Samples};

const SHAPE: WindowShape = WindowShape { batch_size: 2, num_batches: 3 };

fn memory() -> Memory {
    Memory::learnt(&[&[1, 2, 3], &[4, 5, 6, 7], &[8, 9], &[10, 11, 12, 13, 14]])
}

fn all_rows(window: &Window) -> Vec<Taken> {
    window.batches.iter().flat_map(rows).collect()
}

#[test]
fn every_reader_gets_what_the_loader_has() {
    let mut alone = loader(&memory(), &options(Arrange::Pack));
    for depth in [1, 3] {
        let readers = feed(alone.clone(), SHAPE, 3, depth).unwrap();
        let seen: Vec<Vec<_>> = thread::scope(|scope| {
            let threads: Vec<_> = readers
                .into_iter()
                .map(|mut reader| {
                    scope.spawn(move || {
                        let next = |_| reader.next_window().unwrap();
                        (0..9).map(next).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for number in 0..9 {
            let expected = alone.next_window(SHAPE).unwrap();
            for windows in &seen {
                assert_eq!(all_rows(&windows[number]), all_rows(&expected));
                assert_eq!(windows[number].position, expected.position);
            }
        }
    }
}

#[test]
fn an_error_reaches_every_reader_and_stays() {
    // The second window meets it.
    let records = (0..7).map(|_| Some(crate::data::memory::sample(&[1, 2], 0))).chain([None]);
    let options = crate::data::LoaderOptions {
        on_error: autopipe_config::OnError::Stop,
        ..options(Arrange::Pad)
    };
    let failing = loader(&Memory::new(records.collect()), &options);
    for mut reader in feed(failing, SHAPE, 2, 4).unwrap() {
        reader.next_window().unwrap();
        for _ in 0..2 {
            let error = reader.next_window().unwrap_err().to_string();
            assert!(error.starts_with("bad.jsonl:record 8: not JSON"), "{error}");
        }
    }
}

#[test]
fn a_panic_of_the_thread_is_an_error() {
    let mut memory = memory();
    memory.panics_at = Some(2);
    for mut reader in feed(loader(&memory, &options(Arrange::Pad)), SHAPE, 2, 1).unwrap() {
        for _ in 0..2 {
            let error = reader.next_window().unwrap_err().to_string();
            assert_eq!(
                error,
                "the thread that reads the data has panicked; what it said is on standard error"
            );
        }
    }
}

/// Says when it is dropped, as everything in a thread is at its end.
#[derive(Debug)]
struct Watched(Memory, Sender<()>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.1.send(()).ok();
    }
}

impl Samples for Watched {
    fn num_samples(&self) -> u64 {
        self.0.num_samples()
    }

    fn read(&mut self, number: u64) -> Result<Sample, Error> {
        self.0.read(number)
    }

    fn another(&self) -> Box<dyn Samples> {
        Box::new(Self(self.0.clone(), self.1.clone()))
    }
}

#[test]
fn the_thread_ends_with_the_last_reader() {
    let (sender, ended) = channel();
    let content = Content::Samples(Box::new(Watched(memory(), sender)));
    let loader = Loader::of(vec![(content, 1.0)], &options(Arrange::Stream)).unwrap();
    let mut readers = feed(loader, SHAPE, 2, 2).unwrap();
    let mut last = readers.pop().unwrap();
    // The other one has read nothing: it holds the thread up until it is gone.
    drop(readers);
    for _ in 0..8 {
        last.next_window().unwrap();
    }
    assert!(ended.try_recv().is_err(), "one still reads");
    drop(last);
    ended.recv_timeout(Duration::from_secs(60)).unwrap();
}

#[test]
fn counts_of_zero() {
    let loader = || loader(&memory(), &options(Arrange::Pad));
    let refused = |shape, num_readers, depth| {
        let fed = feed(loader(), shape, num_readers, depth);
        fed.and_then(|mut readers| readers[0].next_window()).unwrap_err().to_string()
    };
    assert_eq!(refused(SHAPE, 0, 1), "`num_readers` is 0, the smallest is 1");
    assert_eq!(refused(SHAPE, 1, 0), "`prefetch` is 0, the smallest is 1");
    let no_batch = WindowShape { num_batches: 0, ..SHAPE };
    assert_eq!(refused(no_batch, 1, 1), "`num_batches` is 0, the smallest is 1");
    let no_row = WindowShape { batch_size: 0, ..SHAPE };
    assert_eq!(refused(no_row, 1, 1), "`batch_size` is 0, the smallest is 1");
}

#[test]
fn a_window_that_fails_leaves_the_loader_as_it_was() {
    let mut memory = memory();
    let mut failing = loader(&memory, &options(Arrange::Pad));
    memory.panics_at = None;
    failing.next_window(SHAPE).unwrap();
    let before = failing.position();
    // The last batch cannot be had.
    let huge = WindowShape { batch_size: usize::MAX, ..SHAPE };
    failing.next_window(huge).unwrap_err();
    assert_eq!(failing.position(), before);
}
