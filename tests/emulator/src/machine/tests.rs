//! Kernels as text, run.

use super::*;
use crate::ptx::Module;

/// Runs the entry `e` of a module on fresh memory of a device.
fn run_entry(body: &str, block: [u32; 3], bytes: u64) -> Result<Vec<u8>, String> {
    let text = format!(
        ".version 9.0\n.target sm_80\n.visible .entry e(\n.param .u64 e_param_0\n)\n{{\n{body}\n}}\n"
    );
    let entry = Arc::new(Module::new(&text)?.function("e", &mut |_| None)?.unwrap());
    let mut memory = Memory::default();
    let address = memory.reserve(Some(0), bytes);
    memory.give(address);
    let program = Arc::new(Program { entry, others: BTreeMap::new() });
    let params = address.to_le_bytes().to_vec();
    let launch = Launch {
        program,
        grid: [1; 3],
        block,
        shared_bytes: 0,
        params,
        device: 0,
        is_backward: false,
        is_watched: true,
    };
    run(&launch, &mut memory)?;
    Ok(memory.read(address, bytes)?.to_vec())
}

const REGISTERS: &str =
    ".reg .pred %p<9>;\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\nld.param.u64 %rd1, [e_param_0];\n";

#[test]
fn threads_write_their_numbers() {
    let body = format!(
        "{REGISTERS}mov.u32 %r1, %tid.x;\nmul.wide.u32 %rd2, %r1, 4;\nadd.s64 %rd3, %rd1, %rd2;\n\
         setp.gt.u32 %p1, %r1, 2;\n@%p1 bra $L_end;\nst.global.u32 [%rd3], %r1;\n$L_end:\nret;"
    );
    let found = run_entry(&body, [5, 1, 1], 20).unwrap();
    assert_eq!(found[..12], [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(found[12..], [0xff; 8]);
}

#[test]
fn what_is_outside_is_told() {
    let body = format!("{REGISTERS}mov.u32 %r1, %tid.x;\nst.global.u32 [%rd1+16], %r1;\nret;");
    let error = run_entry(&body, [2, 1, 1], 16).unwrap_err();
    assert!(
        error.starts_with("the kernel e, block [0, 0, 0] of [1, 1, 1], thread [0, 0, 0]"),
        "{error}"
    );
    assert!(error.contains("at 16 of 16 bytes"), "{error}");
    let error = run_entry("frob.u32 %r1, 1;", [1, 1, 1], 4).unwrap_err();
    assert!(error.contains("in e, `frob.u32 %r1, 1`: not emulated"), "{error}");
}

#[test]
fn threads_wait_for_each_other() {
    // Each writes its number into shared memory and adds that of the thread after it, and of its warp.
    let body = format!(
        "{REGISTERS}.shared .align 4 .b8 own[256];\nmov.u32 %r1, %tid.x;\nshl.b32 %r2, %r1, 2;\n\
         mov.u32 %r3, own;\nadd.s32 %r4, %r3, %r2;\nst.shared.u32 [%r4], %r1;\nbar.sync 0;\n\
         xor.b32 %r5, %r2, 4;\nadd.s32 %r5, %r3, %r5;\nld.shared.u32 %r6, [%r5];\n\
         shfl.sync.bfly.b32 %r7|%p2, %r6, 1, 31, -1;\nadd.s32 %r8, %r6, %r7;\n\
         cvt.u64.u32 %rd2, %r2;\nadd.s64 %rd3, %rd1, %rd2;\nst.global.u32 [%rd3], %r8;\nret;"
    );
    let found = run_entry(&body, [64, 1, 1], 256).unwrap();
    for (place, bytes) in found.chunks(4).enumerate() {
        let expected = (place / 2 * 4 + 1) as u32;
        assert_eq!(bytes, expected.to_le_bytes(), "{place}");
    }
}

#[test]
fn threads_keep_off_each_others_memory() {
    let body = format!("{REGISTERS}mov.u32 %r1, %tid.x;\nst.global.u32 [%rd1], %r1;\nret;");
    assert!(run_entry(&body, [1, 1, 1], 4).is_ok());
    let error = run_entry(&body, [2, 1, 1], 4).unwrap_err();
    assert!(error.contains("thread [1, 0, 0] of [2, 1, 1]: writes what number 0"), "{error}");
    let body = format!("{REGISTERS}mov.u32 %r1, 1;\nred.global.add.u32 [%rd1], %r1;\nret;");
    assert_eq!(run_entry(&body, [3, 1, 1], 4).unwrap(), 2u32.to_le_bytes());
}
