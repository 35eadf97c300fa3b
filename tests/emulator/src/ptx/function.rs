//! A function as the machine runs it.

/// A register's number. Constants and special registers have slots as well.
pub(crate) type Slot = u32;

/// The slots that every function has: what a thread knows of its place.
pub(crate) mod slots {
    use super::Slot;

    /// x, y, z of the thread in its block, and so on.
    pub(crate) const TID: Slot = 0;
    pub(crate) const NTID: Slot = 3;
    pub(crate) const CTAID: Slot = 6;
    pub(crate) const NCTAID: Slot = 9;
    pub(crate) const LANE: Slot = 12;
    /// What the last sum with `.cc` has carried over.
    pub(crate) const CARRY: Slot = 13;
    /// What nobody reads: the `_` of a vector.
    pub(crate) const NOWHERE: Slot = 14;
    /// Where the function's local memory begins.
    pub(crate) const LOCAL: Slot = 15;
    pub(crate) const COUNT: Slot = 16;
}

pub(crate) type One = fn(u64) -> u64;
pub(crate) type Two = fn(u64, u64) -> u64;
pub(crate) type Three = fn(u64, u64, u64) -> u64;
pub(crate) type Four = fn(u64, u64, u64, u64) -> u64;

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) code: Vec<Instr>,
    pub(crate) num_slots: usize,
    pub(crate) constants: Vec<(Slot, u64)>,
    /// The bytes of each parameter, and where it begins.
    pub(crate) params: Vec<(usize, usize)>,
    pub(crate) param_bytes: usize,
    /// The bytes of what it returns, which stand after its parameters.
    pub(crate) returned_bytes: usize,
    /// The bytes in which it lays out what it calls others with.
    pub(crate) call_bytes: usize,
    pub(crate) local_bytes: usize,
    pub(crate) shared_bytes: usize,
    /// Whether threads wait for each other in it.
    pub(crate) has_meetings: bool,
}

#[derive(Debug)]
pub(crate) struct Instr {
    /// The predicate that it depends on, and the value that that is to have.
    pub(crate) guard: Option<(Slot, bool)>,
    pub(crate) op: Op,
}

#[derive(Debug)]
pub(crate) enum Op {
    One(One, Slot, Slot),
    Two(Two, Slot, [Slot; 2]),
    Three(Three, Slot, [Slot; 3]),
    Four(Four, Slot, [Slot; 4]),
    /// A comparison that writes a predicate and its opposite.
    Both(Two, [Slot; 2], [Slot; 2]),
    /// Sums of many words.
    Carry(Carry, Slot, [Slot; 3]),
    /// Parts of equal width, the lowest first, of one register, or one of them.
    Split(u32, Vec<Slot>, Slot),
    Join(u32, Slot, Vec<Slot>),
    Load(Access, Vec<Slot>),
    Store(Access, Vec<Slot>),
    Atom(Atom, Access, Slot, [Slot; 2]),
    Branch(usize),
    Call(Box<Call>),
    Barrier,
    /// A shuffle by `kind`: value, lane or distance, clamp and mask; where from, and whether it was there.
    Shuffle {
        kind: Shuffle,
        to: Slot,
        was_there: Slot,
        from: [Slot; 4],
    },
    Ballot {
        to: Slot,
        from: Slot,
        negate: bool,
        kind: Vote,
        mask: Slot,
    },
    Return,
    /// The program says that this is never reached, or that it is an error.
    Trap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Lane,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Ballot,
}

/// A sum or product with what is carried over, `a * b + c` or `a + b`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carry {
    pub(crate) kind: Sum,
    pub(crate) takes: bool,
    pub(crate) gives: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    Add,
    Sub,
    /// The lower half of a product and a number.
    Low,
    High,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// An address tells which.
    Generic,
    Global,
    Shared,
    Local,
    /// The function's own parameters.
    Param,
    /// What it calls others with.
    Call,
}

/// Where a number is in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) space: Space,
    /// What the address begins with.
    pub(crate) base: Slot,
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) is_signed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Atom {
    /// The new number of the old one and an operand.
    With(Two),
    Swap,
    CompareAndSwap,
}

/// Bytes of a call's layout: where, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) at: usize,
    pub(crate) len: usize,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Place>,
    pub(crate) returned: Option<Place>,
}
