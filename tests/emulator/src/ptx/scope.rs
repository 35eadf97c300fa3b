//! The names within a function.

use std::collections::BTreeMap;

use super::function::{Place, Slot, slots};
use super::module::{Declared, Resolve};
use super::text::number;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    Register(Slot),
    /// An address in the function's own local memory.
    Local(u64),
    Param(Place),
    /// Where something is laid out for a call.
    Call(Place),
    /// An address: in shared memory, or of a variable.
    Address(u64),
}

pub(super) struct Scope<'a, 'b> {
    /// The innermost last.
    names: Vec<BTreeMap<&'a str, Named>>,
    /// Registers of a family, `%r<44>`: they are not entered one by one.
    families: BTreeMap<&'a str, (Slot, u32)>,
    constants: BTreeMap<u64, Slot>,
    pub(super) num_slots: Slot,
    resolve: &'b mut Resolve<'b>,
}

impl<'a, 'b> Scope<'a, 'b> {
    pub(super) fn new(resolve: &'b mut Resolve<'b>) -> Self {
        Self {
            names: vec![BTreeMap::new()],
            families: BTreeMap::new(),
            constants: BTreeMap::new(),
            num_slots: slots::COUNT,
            resolve,
        }
    }

    pub(super) fn open(&mut self) {
        self.names.push(BTreeMap::new());
    }

    pub(super) fn close(&mut self) {
        if self.names.len() > 1 {
            self.names.pop();
        }
    }

    pub(super) fn enter(&mut self, name: &'a str, named: Named) {
        if let Some(innermost) = self.names.last_mut() {
            innermost.insert(name, named);
        }
    }

    pub(super) fn new_slot(&mut self) -> Slot {
        self.num_slots += 1;
        self.num_slots - 1
    }

    /// `.reg .b32 %r<44>` or `.reg .b16 c, d`, from its type on.
    pub(super) fn registers(&mut self, declared: &'a str) -> Result<(), String> {
        let names = declared.split_once(char::is_whitespace).ok_or("registers without a name")?.1;
        for name in names.split(',').map(str::trim) {
            if let Some((family, count)) = name.split_once('<') {
                let count = count.trim_end_matches('>').parse::<u32>();
                let count = count.map_err(|_| format!("registers like `{name}`"))?;
                self.families.insert(family, (self.num_slots, count));
                self.num_slots += count;
            } else {
                let slot = self.new_slot();
                self.enter(name, Named::Register(slot));
            }
        }
        Ok(())
    }

    pub(super) fn named(&mut self, name: &str) -> Option<Named> {
        if let Some(named) = self.names.iter().rev().find_map(|names| names.get(name)) {
            return Some(*named);
        }
        let digits = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
        let family = self.families.get(&name[..digits]);
        if let (Some((first, count)), Ok(number)) = (family, name[digits..].parse::<u32>()) {
            return (number < *count).then_some(Named::Register(first + number));
        }
        if name.starts_with('%') {
            return special(name).map(Named::Register);
        }
        (self.resolve)(name).map(Named::Address)
    }

    pub(super) fn constant(&mut self, bits: u64) -> Slot {
        if let Some(slot) = self.constants.get(&bits) {
            return *slot;
        }
        let slot = self.new_slot();
        self.constants.insert(bits, slot);
        slot
    }

    /// Where an operand's bits are: a register's, or a constant's.
    pub(super) fn slot(&mut self, operand: &str) -> Result<Slot, String> {
        if operand == "_" {
            return Ok(slots::NOWHERE);
        }
        if operand == "WARP_SZ" {
            return Ok(self.constant(32));
        }
        if let Some(bits) = number(operand) {
            return Ok(self.constant(bits));
        }
        match self.named(operand) {
            Some(Named::Register(slot)) => Ok(slot),
            Some(Named::Address(address)) => Ok(self.constant(address)),
            Some(other) => Err(format!("the operand {operand}, {other:?}")),
            None => Err(format!("the operand {operand}, which is not known")),
        }
    }

    pub(super) fn slots(&mut self, operands: &[&str]) -> Result<Vec<Slot>, String> {
        operands.iter().map(|operand| self.slot(operand)).collect()
    }

    pub(super) fn into_constants(self) -> Vec<(Slot, u64)> {
        self.constants.into_iter().map(|(bits, slot)| (slot, bits)).collect()
    }
}

fn special(name: &str) -> Option<Slot> {
    let (name, axis) = name.split_once('.').unwrap_or((name, "x"));
    let axis = ["x", "y", "z"].iter().position(|of| *of == axis)? as Slot;
    match name {
        "%tid" => Some(slots::TID + axis),
        "%ntid" => Some(slots::NTID + axis),
        "%ctaid" => Some(slots::CTAID + axis),
        "%nctaid" => Some(slots::NCTAID + axis),
        "%laneid" => Some(slots::LANE),
        _ => None,
    }
}

/// Lays something out after what there is.
pub(super) fn place(used: &mut usize, declared: &Declared<'_>) -> Place {
    let at = used.next_multiple_of(declared.align);
    *used = at + declared.bytes;
    Place { at, len: declared.bytes }
}
