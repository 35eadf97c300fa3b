#!/bin/sh
# Runs the tests for a GPU that `cargo xtask check-cuda` has built on the emulator, or the command that is given.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
library=$here/target/release/libemulator.so
[ -f "$library" ] || { echo "build it: cargo build --release --manifest-path $here/Cargo.toml" >&2; exit 1; }
links=$here/target/links
mkdir -p "$links"
for name in libcuda.so.1 libcublas.so.13 libcublasLt.so.13 libcurand.so.10 libnvrtc.so.13 libnccl.so.2; do
    ln -sf "$library" "$links/$name"
done
: "${CUDA_HOME:=$root/target/cuda/toolkit/nvidia/cu13}"
: "${EMULATOR_DEVICES:=2}"
LD_LIBRARY_PATH=$links:$CUDA_HOME/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export CUDA_HOME EMULATOR_DEVICES LD_LIBRARY_PATH AUTOPIPE_REQUIRE_GPU=1
if [ $# -gt 0 ]; then
    exec "$@"
fi
cd "$root"
# Of several builds of a test's binary the newest counts; its name ends with a hash.
status=0
for package in crates/*/ tests/; do
    [ -e "$package/tests/it/gpu" ] || [ -e "$package/tests/it/gpu.rs" ] || continue
    for list in $(ls -t target/cuda/build/gpu/deps/it-*.d); do
        # What was checked only has a list and no binary.
        if [ -x "${list%.d}" ] && grep -q "^[^ ]*it-[^ ]*: $package" "$list"; then
            echo "== ${package%/}"
            (cd "$package" && "$root/${list%.d}" gpu:: --test-threads 2) || status=1
            break
        fi
    done
done
exit $status
