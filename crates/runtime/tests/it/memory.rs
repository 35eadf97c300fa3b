//! Counting what ranks hold.

use std::alloc::System;

use autopipe_runtime::memory::{Account, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator<System> = CountingAllocator::new(System);

#[test]
fn blocks_count_for_the_thread_that_asked_until_anybody_frees_them() {
    let [mine, other] = [Account::open(), Account::open()];
    let blocks = std::thread::spawn(move || {
        mine.charge();
        assert_eq!(Account::of_thread().and_then(Account::held), mine.held());
        let mut blocks: Vec<Vec<u8>> = Vec::with_capacity(3);
        for size in [1usize, 4095, 1 << 20] {
            let before = mine.held().unwrap();
            blocks.push(vec![0; size]);
            assert_eq!(mine.held().unwrap() - before, size as u64);
        }
        blocks
    })
    .join()
    .unwrap();
    let held = mine.held().unwrap();
    assert!(held >= (1 << 20) + 4096, "{held}");
    assert_eq!(other.held(), Some(0));
    std::thread::spawn(move || {
        other.charge();
        drop(blocks);
    })
    .join()
    .unwrap();
    assert!(mine.held().unwrap() <= held - (1 << 20) - 4096);
    assert!(mine.peak().unwrap() >= held);
    mine.restart_peak();
    assert_eq!(mine.peak(), mine.held());
}

#[test]
fn blocks_keep_their_contents_and_alignment_as_they_grow_and_shrink() {
    let account = Account::open();
    std::thread::spawn(move || {
        account.charge();
        let before = account.held().unwrap();
        let mut numbers: Vec<u64> = Vec::new();
        for n in 0..5000 {
            numbers.push(n);
            assert_eq!(numbers.as_ptr().align_offset(align_of::<u64>()), 0);
        }
        let of_vec = |numbers: &Vec<u64>| 8 * numbers.capacity() as u64;
        assert_eq!(account.held().unwrap() - before, of_vec(&numbers));
        numbers.truncate(100);
        numbers.shrink_to_fit();
        assert_eq!(account.held().unwrap() - before, of_vec(&numbers));
        assert!(numbers.iter().copied().eq(0..100));

        #[repr(align(256))]
        #[derive(Clone, Copy)]
        struct Wide([u8; 256]);
        for len in [1, 100] {
            let wide = vec![Wide([7; 256]); len];
            assert_eq!(wide.as_ptr().align_offset(256), 0);
            assert!(wide.iter().all(|wide| wide.0 == [7; 256]));
        }
        drop(numbers);
        assert_eq!(account.held().unwrap(), before);
    })
    .join()
    .unwrap();
}
