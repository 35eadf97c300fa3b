//! SHA-256, by which the tables of torch are recorded.

const PRIMES: [u32; 64] = primes();

const fn primes() -> [u32; 64] {
    let (mut primes, mut found, mut n) = ([0; 64], 0, 2);
    while found < 64 {
        let mut divisor = 2;
        while n % divisor != 0 {
            divisor += 1;
        }
        if divisor == n {
            primes[found] = n;
            found += 1;
        }
        n += 1;
    }
    primes
}

/// The first 32 bits behind the point of the `degree`-th root of `n`.
fn root(n: u32, degree: u32) -> u32 {
    // The largest x with x^degree <= n * 2^(32 * degree), of which the lower 32 bits are wanted.
    let (mut low, mut high) = (0u128, 1u128 << 37);
    while high - low > 1 {
        let middle = low.midpoint(high);
        // x^3 of 37 bits takes 111, n * 2^96 takes 105.
        if middle.pow(degree) <= u128::from(n) << (32 * degree) {
            low = middle;
        } else {
            high = middle;
        }
    }
    u32::try_from(low & u128::from(u32::MAX)).unwrap()
}

/// The first 24 hexadecimal digits.
pub(crate) fn short(text: &str) -> String {
    let mut state: [u32; 8] = std::array::from_fn(|i| root(PRIMES[i], 2));
    let rounds = PRIMES.map(|prime| root(prime, 3));
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0x80);
    bytes.resize(bytes.len().next_multiple_of(64), 0);
    if bytes.len() - text.len() < 9 {
        bytes.resize(bytes.len() + 64, 0);
    }
    let end = bytes.len() - 8;
    bytes[end..].copy_from_slice(&(8 * u64::try_from(text.len()).unwrap()).to_be_bytes());
    for block in bytes.chunks_exact(64) {
        let mut words: Vec<u32> = block
            .chunks_exact(4)
            .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
            .collect();
        for i in 16..64 {
            let (a, b) = (words[i - 15], words[i - 2]);
            let a = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let b = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            words.push(words[i - 16].wrapping_add(a).wrapping_add(words[i - 7]).wrapping_add(b));
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for (word, round) in words.iter().zip(rounds) {
            let from_e = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let one = h.wrapping_add(from_e).wrapping_add((e & f) ^ (!e & g));
            let one = one.wrapping_add(round).wrapping_add(*word);
            let from_a = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let two = from_a.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e, d, c, b, a) =
                (g, f, e, d.wrapping_add(one), c, b, a, one.wrapping_add(two));
        }
        for (sum, word) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *sum = sum.wrapping_add(word);
        }
    }
    state.iter().take(3).map(|word| format!("{word:08x}")).collect()
}

#[test]
fn it_is_sha_256() {
    assert_eq!(short("abc"), "ba7816bf8f01cfea414140de");
    assert_eq!(short(&"a".repeat(64)), "ffe054fe7ae0cb6dc65c3af9");
}
