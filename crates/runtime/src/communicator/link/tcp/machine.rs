//! Which machine a process runs on: those of one machine share its cores.

use std::net::IpAddr;

/// Of Linux, drawn when the machine starts; containers see their machine's.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A name that the processes of one machine have in common.
///
/// Where the system does not tell one it is the address by which a process goes to rank 0, and for those
/// that do not leave rank 0's machine, as rank 0 itself, it is empty.
pub(super) fn machine(own: IpAddr, rank_zero: IpAddr) -> String {
    match std::fs::read_to_string(BOOT_ID) {
        Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ if own == rank_zero => String::new(),
        _ => own.to_string(),
    }
}
