//! A machine that stands in for a GPU in the tests: a kernel's text is compiled as C, and each thread of a
//! block is a thread, if they wait for each other. What they read or write beyond an array is found.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, DType, Layout, Result, Shape, Storage, bail};
use tempfile::TempDir;

use super::machine::{Call, Grid, Machine};
use super::{Kernel, Onto, Operand, by_loops};

const BEFORE: &str = r"#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static _Thread_local unsigned int own_thread, own_block;
static unsigned int num_threads, num_blocks;
static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_here = PTHREAD_COND_INITIALIZER;
static unsigned int num_here, num_meetings;
static double lanes[1024];
/* Not a barrier of pthreads, which some systems lack. */
static void meet(void) {
    unsigned int own;
    pthread_mutex_lock(&door);
    own = num_meetings;
    if (++num_here == num_threads) {
        num_here = 0;
        num_meetings++;
        pthread_cond_broadcast(&all_here);
    }
    while (own == num_meetings) pthread_cond_wait(&all_here, &door);
    pthread_mutex_unlock(&door);
}
#define KERNEL static void
#define INLINE static inline
#define RESTRICT restrict
#define SHARED static
#define THREAD own_thread
#define THREADS num_threads
#define BLOCK own_block
#define BLOCKS num_blocks
#define MEET() meet()
static double other_lane(double x, unsigned int mask) {
    double y;
    lanes[own_thread] = x;
    MEET();
    y = lanes[own_thread ^ mask];
    MEET();
    return y;
}
#define OTHER_LANE(x, mask) other_lane(x, mask)
";

/// Reads a grid, whole numbers, factors and arrays, and writes the arrays back as they are in the end.
const AFTER: &str = r"
static void *arrays[ARRAYS];
static unsigned long long bytes[ARRAYS], counts[COUNTS + 1];
static double factors[FACTORS + 1];
static void *work(void *thread) {
    own_thread = (unsigned int) (size_t) thread;
    for (own_block = 0; own_block < num_blocks; own_block++) {
        CALL;
        if (MEETS) MEET();
    }
    return NULL;
}
static int take(void *to, size_t size, FILE *file) { return size && fread(to, size, 1, file) != 1; }
int main(int argc, char **argv) {
    unsigned long long grid[2];
    pthread_t threads[1024];
    size_t i;
    FILE *file = argc == 3 ? fopen(argv[1], `rb`) : NULL;
    if (!file || take(grid, sizeof grid, file)) return 1;
    if (take(counts, 8 * COUNTS, file) || take(factors, 8 * FACTORS, file)) return 1;
    for (i = 0; i < ARRAYS; i++) {
        if (take(&bytes[i], 8, file)) return 1;
        arrays[i] = malloc(bytes[i]);
        if (take(arrays[i], bytes[i], file)) return 1;
    }
    fclose(file);
    num_blocks = grid[0];
    num_threads = grid[1];
    for (i = 0; i < num_threads; i++) {
        if (!MEETS) work((void *) i);
        else if (pthread_create(&threads[i], NULL, work, (void *) i)) return 1;
    }
    for (i = 0; MEETS && i < num_threads; i++) pthread_join(threads[i], NULL);
    file = fopen(argv[2], `wb`);
    if (!file) return 1;
    for (i = 0; i < ARRAYS; i++) fwrite(arrays[i], 1, bytes[i], file);
    return fclose(file);
}
";

/// The whole program around a kernel.
fn program(kernel: &Kernel) -> String {
    let (num_arrays, num_counts) = (kernel.reads.len() + kernel.writes.len(), kernel.counts.len());
    let of = |name: &str, num: usize| (0..num).map(|i| format!("{name}[{i}]")).collect::<Vec<_>>();
    let arguments =
        [of("arrays", num_arrays), of("counts", num_counts), of("factors", kernel.factors.len())];
    let code = (kernel.code)();
    let meets = ["MEET()", "ALL_SUM(", "ALL_MAX("].iter().any(|word| code.contains(word));
    format!(
        "{BEFORE}{}
#define ARRAYS {num_arrays}
#define COUNTS {num_counts}
#define FACTORS {}
#define MEETS {}
#define CALL {}({}){}",
        kernel.text(),
        kernel.factors.len(),
        i32::from(meets),
        kernel.function(),
        arguments.concat().join(", "),
        AFTER.replace('`', "\"")
    )
}

struct Compiled {
    folder: TempDir,
}

impl Compiled {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn new(kernel: &Kernel) -> Self {
        let compiled = Self { folder: tempfile::tempdir().unwrap() };
        let source = program(kernel);
        std::fs::write(compiled.at("kernel.c"), &source).unwrap();
        let output = Command::new("cc")
            // Without the products and sums in one that a CPU's code has not either.
            .args(["-std=gnu11", "-O1", "-ffp-contract=off", "-fsanitize=address", "-Wall"])
            .args(["-Werror", "-Wno-unused-function", "-Wno-unused-variable", "-pthread", "-o"])
            .args([compiled.at("kernel"), compiled.at("kernel.c")])
            .arg("-lm")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}\n{source}", String::from_utf8_lossy(&output.stderr));
        #[cfg(feature = "cuda")]
        compiled.by_cuda(kernel);
        compiled
    }

    /// CUDA's compiler takes the kernel too, where there is one: what compiles it on a GPU's machine is the
    /// same with another entrance.
    #[cfg(feature = "cuda")]
    fn by_cuda(&self, kernel: &Kernel) {
        let text = kernel.text();
        #[expect(clippy::disallowed_methods, reason = "where CUDA is, its own variables say")]
        let home = std::env::var_os("CUDA_HOME").map(PathBuf::from);
        let nvcc = home.map_or("nvcc".into(), |home| home.join("bin").join("nvcc"));
        std::fs::write(self.at("kernel.cu"), &text).unwrap();
        let mut command = Command::new(nvcc);
        command.args(["-ptx", "-o"]).args([self.at("kernel.ptx"), self.at("kernel.cu")]);
        let output = command.output().expect("CUDA's nvcc, without which nothing here is built");
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        let ptx = std::fs::read_to_string(self.at("kernel.ptx")).unwrap();
        assert!(ptx.contains(&format!(".visible .entry {}(", kernel.function())), "{text}");
    }

    /// What it makes of a file.
    fn run(&self, given: &[u8]) -> Vec<u8> {
        std::fs::write(self.at("given"), given).unwrap();
        let mut command = Command::new(self.at("kernel"));
        command.args([self.at("given"), self.at("made")]).env("ASAN_OPTIONS", "detect_leaks=0");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(self.at("made")).unwrap()
    }
}

/// On a GPU a kernel is kept by its name and type, so that two of one name would be one.
fn check_name(kernel: &Kernel) {
    static TEXTS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let (key, text) = (format!("{} {:?}", kernel.name, kernel.dtype), kernel.text());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let same = texts.entry(key).or_insert_with(|| text.clone());
    assert_eq!(*same, text, "two kernels have the name `{}`", kernel.name);
}

thread_local! {
    /// What a test has compiled.
    static COMPILED: RefCell<BTreeMap<String, Compiled>> = const { RefCell::new(BTreeMap::new()) };
}

/// The bytes of numbers and back.
macro_rules! for_storage {
    ($storage:expr, $numbers:ident => $body:expr) => {
        match $storage {
            CpuStorage::F32($numbers) => $body,
            CpuStorage::F64($numbers) => $body,
            CpuStorage::BF16($numbers) => $body,
            CpuStorage::U32($numbers) => $body,
            other => bail!("no kernel is for {:?}", other.dtype()),
        }
    };
}

trait Bytes: Sized {
    fn to_bytes(&self) -> Vec<u8>;
    fn of_bytes(bytes: &[u8]) -> Self;
}

macro_rules! bytes {
    ($($type:ty),+) => {
        $(impl Bytes for $type {
            fn to_bytes(&self) -> Vec<u8> {
                self.to_ne_bytes().to_vec()
            }

            fn of_bytes(bytes: &[u8]) -> Self {
                Self::from_ne_bytes(bytes.try_into().unwrap())
            }
        })+
    };
}
bytes!(f32, f64, half::bf16, u32);

fn bytes_of<T: Bytes>(numbers: &[T]) -> Vec<u8> {
    numbers.iter().flat_map(Bytes::to_bytes).collect()
}

fn put<T: Bytes>(numbers: &mut [T], bytes: &[u8]) {
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(size_of::<T>())) {
        *number = T::of_bytes(bytes);
    }
}

impl Machine for CpuStorage {
    fn of(storage: &Storage) -> Option<&Self> {
        if let Storage::Cpu(storage) = storage { Some(storage) } else { None }
    }

    fn into_storage(self) -> Storage {
        Storage::Cpu(self)
    }

    /// Of no numbers, so that those show that a kernel leaves out.
    fn fresh(_: &Self::Device, shape: &Shape, dtype: DType) -> Result<Self> {
        let num = shape.elem_count();
        Ok(match dtype {
            DType::F32 => Self::F32(vec![f32::NAN; num]),
            DType::F64 => Self::F64(vec![f64::NAN; num]),
            DType::BF16 => Self::BF16(vec![half::bf16::NAN; num]),
            DType::U32 => Self::U32(vec![u32::MAX; num]),
            other => bail!("no kernel is for {other:?}"),
        })
    }

    fn run(kernel: &Kernel, grid: Grid, call: Call<'_, '_, Self>) -> Result<()> {
        call.check(kernel)?;
        check_name(kernel);
        if grid.blocks == 0 {
            return Ok(());
        }
        let numbers = [grid.blocks, grid.threads].into_iter().chain(call.counts.iter().copied());
        let mut given: Vec<u8> = numbers.flat_map(|num| (num as u64).to_ne_bytes()).collect();
        given.extend(call.factors.iter().flat_map(|factor| factor.to_ne_bytes()));
        let mut append = |array: Vec<u8>| {
            given.extend((array.len() as u64).to_ne_bytes());
            given.extend(array);
        };
        for &(storage, layout) in call.reads {
            let end = layout.contiguous_offsets().map(|(_, end)| end);
            let start = layout.start_offset();
            append(for_storage!(storage, numbers => {
                bytes_of(&numbers[start..end.unwrap_or(numbers.len())])
            }));
        }
        for (storage, layout) in call.writes.iter() {
            let (start, end) = layout.contiguous_offsets().expect("what is written is contiguous");
            append(for_storage!(&**storage, numbers => bytes_of(&numbers[start..end])));
        }
        let made = COMPILED.with_borrow_mut(|compiled| {
            compiled.entry(kernel.text()).or_insert_with(|| Compiled::new(kernel)).run(&given)
        });
        // Those that are read come before, and are as long as before.
        let mut from = made.len();
        for (storage, layout) in call.writes.iter_mut().rev() {
            let (start, end) = layout.contiguous_offsets().expect("what is written is contiguous");
            for_storage!(&mut **storage, numbers => {
                let to = &mut numbers[start..end];
                let first = from - size_of_val(to);
                put(to, &made[first..from]);
                from = first;
            });
        }
        Ok(())
    }

    fn multiply(
        factors: [Operand<'_, Self>; 2],
        to: (&mut Self, &Layout),
        onto: Onto,
    ) -> Result<()> {
        by_loops::multiply(factors, to, onto)
    }
}
