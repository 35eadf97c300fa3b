//! One thread: its registers, the functions it is in, its own memory.

use std::sync::Arc;

use super::access::{Found, Reach, Touch, number, put};
use super::{FRESH, Program};
use crate::ptx::{Access, Atom, Call, Carry, Function, Op, Place, Slot, Space, Sum, slots};

/// How many calls may be in each other.
const DEEPEST: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// At an instruction that others have to come to as well.
    Waiting,
    Done,
}

pub(super) struct Thread {
    frames: Vec<Frame>,
    local: Vec<u8>,
    pub(super) state: State,
}

struct Frame {
    function: Arc<Function>,
    /// The next instruction.
    next: usize,
    registers: Vec<u64>,
    /// Its parameters, and what it returns.
    params: Vec<u8>,
    call: Vec<u8>,
    /// Where the caller wants what is returned.
    returned: Option<Place>,
}

impl Frame {
    fn new(function: &Arc<Function>, params: &[u8], local: &mut Vec<u8>) -> Self {
        let mut registers = vec![0; function.num_slots];
        for (slot, bits) in &function.constants {
            registers[*slot as usize] = *bits;
        }
        local.resize(local.len().next_multiple_of(16), FRESH);
        registers[slots::LOCAL as usize] = local.len() as u64;
        local.resize(local.len() + function.local_bytes, FRESH);
        let mut own = vec![0; function.param_bytes + function.returned_bytes];
        own[..params.len()].copy_from_slice(params);
        Self {
            function: Arc::clone(function),
            next: 0,
            registers,
            params: own,
            call: vec![0; function.call_bytes],
            returned: None,
        }
    }
}

impl Thread {
    /// A thread of a kernel, before its first instruction.
    pub(super) fn new(program: &Program, params: &[u8]) -> Self {
        let mut local = Vec::new();
        let frame = Frame::new(&program.entry, params, &mut local);
        Self { frames: vec![frame], local, state: State::Running }
    }

    /// Another thread of the same kernel; what its registers hold is nobody's to rely on.
    pub(super) fn restart(&mut self) {
        self.frames.truncate(1);
        self.frames[0].next = 0;
        self.local.truncate(self.frames[0].function.local_bytes);
        if !self.local.is_empty() {
            self.local.fill(FRESH);
        }
        self.state = State::Running;
    }

    pub(super) fn set(&mut self, slot: Slot, bits: u64) {
        if let Some(frame) = self.frames.last_mut() {
            frame.registers[slot as usize] = bits;
        }
    }

    pub(super) fn get(&self, slot: Slot) -> u64 {
        self.frames.last().map_or(0, |frame| frame.registers[slot as usize])
    }

    /// Where in its code it is.
    pub(super) fn at(&self) -> (usize, usize) {
        (self.frames.len(), self.frames.last().map_or(0, |frame| frame.next))
    }

    /// The instruction that it has come to last.
    pub(super) fn stopped_at(&self) -> &Op {
        self.frames.last().map_or(&Op::Return, |frame| &frame.function.code[frame.next - 1].op)
    }

    /// Goes on until it is done, or waits for others.
    pub(super) fn run(&mut self, program: &Program, reach: &mut Reach<'_>) -> Result<(), String> {
        while self.state == State::Running {
            self.run_function(program, reach)?;
        }
        Ok(())
    }

    /// Goes on until the function calls another or returns, or the thread waits.
    fn run_function(&mut self, program: &Program, reach: &mut Reach<'_>) -> Result<(), String> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let function = Arc::clone(&frame.function);
        let (code, local) = (function.code.as_slice(), &mut self.local);
        let registers = frame.registers.as_mut_slice();
        macro_rules! at {
            ($slot:expr) => {
                registers[$slot as usize]
            };
        }
        let mut next = frame.next;
        loop {
            let instr = &code[next];
            next += 1;
            if let Some((predicate, wanted)) = instr.guard
                && (at!(predicate) != 0) != wanted
            {
                continue;
            }
            match &instr.op {
                Op::One(f, to, a) => at!(*to) = f(at!(*a)),
                Op::Two(f, to, [a, b]) => at!(*to) = f(at!(*a), at!(*b)),
                Op::Three(f, to, [a, b, c]) => at!(*to) = f(at!(*a), at!(*b), at!(*c)),
                Op::Four(f, to, [a, b, c, d]) => at!(*to) = f(at!(*a), at!(*b), at!(*c), at!(*d)),
                Op::Both(f, [to, opposite], [a, b]) => {
                    let is_true = f(at!(*a), at!(*b));
                    at!(*to) = is_true;
                    at!(*opposite) = 1 - is_true;
                }
                Op::Carry(how, to, of) => {
                    let of = of.map(|slot| at!(slot));
                    let (sum, carried) = carry(*how, of, at!(slots::CARRY));
                    at!(*to) = sum;
                    if how.gives {
                        at!(slots::CARRY) = carried;
                    }
                }
                Op::Branch(to) => next = *to,
                Op::Load(access, to) => {
                    let address = at!(access.base).wrapping_add(access.offset);
                    for (place, to) in to.iter().enumerate() {
                        let address = address.wrapping_add(place as u64 * u64::from(access.bytes));
                        let own = (frame.params.as_slice(), frame.call.as_slice());
                        at!(*to) = load(access, address, own, local, reach)?;
                    }
                }
                Op::Store(access, from) => {
                    let address = at!(access.base).wrapping_add(access.offset);
                    for (place, from) in from.iter().enumerate() {
                        let address = address.wrapping_add(place as u64 * u64::from(access.bytes));
                        let own = (frame.params.as_mut_slice(), frame.call.as_mut_slice());
                        store(access, address, at!(*from), own, local, reach)?;
                    }
                }
                Op::Atom(atom, access, old, with) => {
                    let address = at!(access.base).wrapping_add(access.offset);
                    let found =
                        reach.find(access.space, address, u64::from(access.bytes), Touch::Both)?;
                    let Found::Here(bytes) = found else {
                        return Err("an atomic on its own memory".to_owned());
                    };
                    let was = number(bytes, access.is_signed);
                    let [a, b] = with.map(|slot| at!(slot));
                    match atom {
                        Atom::With(f) => put(bytes, f(was, a)),
                        Atom::Swap => put(bytes, a),
                        Atom::CompareAndSwap
                            if was == number(&a.to_le_bytes()[..bytes.len()], access.is_signed) =>
                        {
                            put(bytes, b);
                        }
                        Atom::CompareAndSwap => {}
                    }
                    at!(*old) = was;
                }
                Op::Split(bits, to, from) => {
                    let from = at!(*from);
                    for (place, to) in to.iter().enumerate() {
                        at!(*to) = from >> (place as u32 * bits) & (u64::MAX >> (64 - bits));
                    }
                }
                Op::Join(bits, to, from) => {
                    let part = |(place, from): (usize, &Slot)| {
                        (at!(*from) & (u64::MAX >> (64 - bits))) << (place as u32 * bits)
                    };
                    at!(*to) = from.iter().enumerate().map(part).fold(0, |all, part| all | part);
                }
                Op::Trap => return Err("comes to a trap".to_owned()),
                Op::Call(call) => {
                    frame.next = next;
                    return self.call(call, program, reach);
                }
                Op::Barrier | Op::Shuffle { .. } | Op::Ballot { .. } => {
                    frame.next = next;
                    self.state = State::Waiting;
                    return Ok(());
                }
                Op::Return => {
                    frame.next = next;
                    self.return_to_caller();
                    return Ok(());
                }
            }
        }
    }

    fn call(&mut self, call: &Call, program: &Program, reach: &Reach<'_>) -> Result<(), String> {
        let depth = self.frames.len();
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let argument = |place: &Place| &frame.call[place.at..place.at + place.len];
        let arguments: Vec<&[u8]> = call.arguments.iter().map(argument).collect();
        let function = match program.others.get(&call.name) {
            Some(Some(function)) if depth < DEEPEST => function,
            Some(Some(_)) => return Err(format!("calls {} within {depth} calls", call.name)),
            Some(None) if call.name == "__assertfail" => return Err(assertion(&arguments, reach)),
            _ => return Err(format!("calls {}, which is not emulated", call.name)),
        };
        let mut params = vec![0; function.param_bytes];
        for ((len, at), bytes) in function.params.iter().zip(arguments) {
            params[*at..at + len].copy_from_slice(&bytes[..*len]);
        }
        let mut called = Frame::new(function, &params, &mut self.local);
        called.returned = call.returned;
        self.frames.push(called);
        Ok(())
    }

    fn return_to_caller(&mut self) {
        if self.frames.len() == 1 {
            self.state = State::Done;
            return;
        }
        let Some(done) = self.frames.pop() else { return };
        self.local.truncate(done.registers[slots::LOCAL as usize] as usize);
        if let (Some(Place { at, len }), Some(caller)) = (done.returned, self.frames.last_mut()) {
            let from = done.function.param_bytes;
            caller.call[at..at + len].copy_from_slice(&done.params[from..from + len]);
        }
    }
}

fn own_bytes(bytes: Option<&[u8]>, access: &Access) -> Result<u64, String> {
    let bytes = bytes.ok_or_else(|| format!("{} bytes beyond its own memory", access.bytes))?;
    Ok(number(bytes, access.is_signed))
}

fn load(
    access: &Access,
    address: u64,
    (params, call): (&[u8], &[u8]),
    local: &[u8],
    reach: &mut Reach<'_>,
) -> Result<u64, String> {
    let len = access.bytes as usize;
    let within = |address: u64| address as usize..address as usize + len;
    match access.space {
        Space::Param => own_bytes(params.get(within(address)), access),
        Space::Call => own_bytes(call.get(within(address)), access),
        _ => match reach.find(access.space, address, len as u64, Touch::Read)? {
            Found::Here(bytes) => Ok(number(bytes, access.is_signed)),
            Found::Local(address) => own_bytes(local.get(within(address)), access),
        },
    }
}

fn store(
    access: &Access,
    address: u64,
    bits: u64,
    (params, call): (&mut [u8], &mut [u8]),
    local: &mut [u8],
    reach: &mut Reach<'_>,
) -> Result<(), String> {
    let len = access.bytes as usize;
    let within = |address: u64| address as usize..address as usize + len;
    let bytes = match access.space {
        Space::Param => params.get_mut(within(address)),
        Space::Call => call.get_mut(within(address)),
        _ => match reach.find(access.space, address, len as u64, Touch::Write)? {
            Found::Here(bytes) => Some(bytes),
            Found::Local(address) => local.get_mut(within(address)),
        },
    };
    put(bytes.ok_or_else(|| format!("{len} bytes beyond its own memory"))?, bits);
    Ok(())
}

/// A sum of 32 bits and what it carries over.
fn carry(how: Carry, [a, b, c]: [u64; 3], carried: u64) -> (u64, u64) {
    let [a, b, c] = [a, b, c].map(|bits| bits & 0xffff_ffff);
    let carried = if how.takes { carried } else { 0 };
    let sum = match how.kind {
        Sum::Add => a + b + carried,
        // What is borrowed counts as carried.
        Sum::Sub => a.wrapping_sub(b).wrapping_sub(carried),
        Sum::Low => ((a * b) & 0xffff_ffff) + c + carried,
        Sum::High => ((a * b) >> 32) + c + carried,
    };
    (sum & 0xffff_ffff, sum >> 32 & 1)
}

/// What a failed assertion says: it is called with a text, a file, a line and a function.
fn assertion(arguments: &[&[u8]], reach: &Reach<'_>) -> String {
    let text = |argument: Option<&&[u8]>| {
        let mut address = argument.map_or(0, |bytes| number(bytes, false));
        let mut text = String::new();
        while let Ok(&[byte]) = reach.memory.read(address, 1)
            && byte != 0
        {
            text.push(char::from(byte));
            address += 1;
        }
        text
    };
    let line = arguments.get(2).map_or(0, |bytes| number(bytes, false));
    let (what, file) = (text(arguments.first()), text(arguments.get(1)));
    format!("does not fulfil `{what}`, {file}, line {line}")
}
