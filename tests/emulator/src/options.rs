//! What the environment says about the devices: a library has no other way to be told.
#![expect(
    clippy::disallowed_methods,
    reason = "a library that stands in for another has no arguments"
)]

use std::sync::OnceLock;

/// When what is queued on streams happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Once somebody waits for it, and no more than that needs.
    Late,
    /// At once.
    Early,
    /// Sometimes this, sometimes that, as numbers from a seed say.
    Random(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) num_devices: usize,
    /// Bytes of each device.
    pub(crate) memory: u64,
    pub(crate) order: Order,
    /// Whether devices have pools of memory.
    pub(crate) has_pools: bool,
    /// Whether threads are watched for what they do to each other's memory.
    pub(crate) is_watched: bool,
    /// Whether NCCL takes several ranks on one device.
    pub(crate) shares_devices: bool,
}

pub(crate) fn options() -> &'static Options {
    static OPTIONS: OnceLock<Options> = OnceLock::new();
    OPTIONS.get_or_init(|| Options {
        num_devices: number("EMULATOR_DEVICES").unwrap_or(1) as usize,
        memory: number("EMULATOR_MEMORY").unwrap_or(2 << 30),
        order: order(),
        has_pools: number("EMULATOR_POOLS") != Some(0),
        is_watched: number("EMULATOR_RACES") == Some(1),
        shares_devices: number("NCCL_MULTI_RANK_GPU_ENABLE") == Some(1),
    })
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse().ok();
    Some(
        number.unwrap_or_else(|| crate::fault(&format!("{name} is `{value}`, which is no number"))),
    )
}

fn order() -> Order {
    match std::env::var("EMULATOR_ORDER").as_deref() {
        Err(_) | Ok("late") => Order::Late,
        Ok("early") => Order::Early,
        Ok(seed) => match seed.parse() {
            Ok(seed) => Order::Random(seed),
            Err(_) => crate::fault(&format!("EMULATOR_ORDER is `{seed}`: late, early or a seed")),
        },
    }
}
