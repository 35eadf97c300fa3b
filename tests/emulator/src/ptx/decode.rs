//! A function's text as instructions.

use std::collections::BTreeMap;

use super::function::{Call, Carry, Function, Instr, Op, Place, Shuffle, Slot, Sum, Vote, slots};
use super::module::{Declared, Resolve, declared};
use super::scope::{Named, Scope, place};
use super::text::{Line, Statement, line, list, number, statements};
use super::{arithmetic, compare, convert, memory};
use crate::machine::{LOCAL_WINDOW, SHARED_WINDOW};

pub(crate) struct Head<'a> {
    pub(crate) name: &'a str,
    pub(crate) returned: Vec<Declared<'a>>,
    pub(crate) params: Vec<Declared<'a>>,
}

struct Decoder<'a, 'b> {
    scope: Scope<'a, 'b>,
    code: Vec<Instr>,
    labels: BTreeMap<&'a str, usize>,
    /// Branches, whose labels may come later.
    branches: Vec<(usize, &'a str)>,
    call_bytes: usize,
    local_bytes: usize,
    shared_bytes: usize,
}

/// # Errors
/// Names what is not emulated.
pub(crate) fn function(
    head: &Head<'_>,
    body: &str,
    dynamic: &[String],
    resolve: &mut Resolve<'_>,
) -> Result<Function, String> {
    let mut decoder = Decoder {
        scope: Scope::new(resolve),
        code: Vec::new(),
        labels: BTreeMap::new(),
        branches: Vec::new(),
        call_bytes: 0,
        local_bytes: 0,
        shared_bytes: 0,
    };
    let (mut param_bytes, mut params) = (0, Vec::new());
    for param in &head.params {
        let at = place(&mut param_bytes, param);
        decoder.scope.enter(param.name, Named::Param(at));
        params.push((at.len, at.at));
    }
    // What is returned begins where anything may.
    param_bytes = param_bytes.next_multiple_of(16);
    let mut returned_bytes = 0;
    for returned in &head.returned {
        let Place { at, len } = place(&mut returned_bytes, returned);
        decoder.scope.enter(returned.name, Named::Param(Place { at: param_bytes + at, len }));
    }
    let found = statements(body);
    decoder.declare_shared(&found, dynamic)?;
    for statement in found {
        match statement {
            Statement::Open => decoder.scope.open(),
            Statement::Close => decoder.scope.close(),
            Statement::Label(name) => {
                decoder.labels.insert(name, decoder.code.len());
            }
            Statement::Line(text) => decoder
                .statement(text)
                .map_err(|what| format!("in {}, `{text}`: not emulated: {what}", head.name))?,
        }
    }
    decoder.code.push(Instr { guard: None, op: Op::Return });
    for (at, label) in std::mem::take(&mut decoder.branches) {
        let to = decoder.labels.get(label);
        let to = to.ok_or_else(|| format!("in {}: no label {label}", head.name))?;
        decoder.code[at].op = Op::Branch(*to);
    }
    let is_meeting =
        |instr: &Instr| matches!(instr.op, Op::Barrier | Op::Shuffle { .. } | Op::Ballot { .. });
    Ok(Function {
        name: head.name.to_owned(),
        has_meetings: decoder.code.iter().any(is_meeting),
        code: decoder.code,
        num_slots: decoder.scope.num_slots as usize,
        constants: decoder.scope.into_constants(),
        params,
        param_bytes,
        returned_bytes,
        call_bytes: decoder.call_bytes,
        local_bytes: decoder.local_bytes,
        shared_bytes: decoder.shared_bytes,
    })
}

impl<'a> Decoder<'a, '_> {
    /// Shared memory has addresses from zero; what a launch gives lies behind what is declared.
    fn declare_shared(
        &mut self,
        found: &[Statement<'a>],
        dynamic: &'a [String],
    ) -> Result<(), String> {
        for statement in found {
            if let Statement::Line(text) = statement
                && text.starts_with(".shared")
            {
                let found = declared(text).ok_or_else(|| format!("shared memory like `{text}`"))?;
                let at = place(&mut self.shared_bytes, &found);
                self.scope.enter(found.name, Named::Address(at.at as u64));
            }
        }
        self.shared_bytes = self.shared_bytes.next_multiple_of(16);
        for name in dynamic {
            self.scope.enter(name, Named::Address(self.shared_bytes as u64));
        }
        Ok(())
    }

    fn statement(&mut self, text: &'a str) -> Result<(), String> {
        if let Some(declaration) = text.strip_prefix('.') {
            return self.declaration(declaration);
        }
        let line = line(text);
        let guard = match line.guard {
            Some((name, is_negated)) => Some((self.scope.slot(name)?, !is_negated)),
            None => None,
        };
        if line.words[0] == "bra" {
            self.branches.push((self.code.len(), line.operands[0]));
            self.code.push(Instr { guard, op: Op::Trap });
            return Ok(());
        }
        // What is made of several instructions is rare, and none of it changes its own guard.
        for op in self.instruction(&line)? {
            self.code.push(Instr { guard, op });
        }
        Ok(())
    }

    fn declaration(&mut self, text: &'a str) -> Result<(), String> {
        // The type may follow at once, `.reg.b32 a`.
        let end = text.find(|c: char| c == '.' || c.is_whitespace()).unwrap_or(text.len());
        let (kind, rest) = text.split_at(end);
        match kind {
            "reg" => self.scope.registers(rest.trim()),
            "param" => {
                let found = declared(rest).ok_or("a parameter of a call")?;
                let at = place(&mut self.call_bytes, &found);
                self.scope.enter(found.name, Named::Call(at));
                Ok(())
            }
            "local" => {
                let found = declared(rest).ok_or("local memory")?;
                let at = place(&mut self.local_bytes, &found);
                self.scope.enter(found.name, Named::Local(at.at as u64));
                Ok(())
            }
            "shared" | "pragma" => Ok(()),
            _ => Err(format!("the directive .{kind}")),
        }
    }

    fn instruction(&mut self, line: &Line<'a>) -> Result<Vec<Op>, String> {
        let (words, operands) = (line.words.as_slice(), line.operands.as_slice());
        if let Some(op) = memory::instruction(&mut self.scope, words, operands)? {
            return Ok(vec![op]);
        }
        let (name, of) = (words[0], *words.last().unwrap_or(&""));
        let how = words.get(1..words.len().max(2) - 1).unwrap_or_default();
        match (name, operands) {
            ("ret", _) => Ok(vec![Op::Return]),
            ("trap", _) => Ok(vec![Op::Trap]),
            ("membar" | "fence", _) => Ok(vec![]),
            ("bar" | "barrier", ["0"]) if words.contains(&"sync") => Ok(vec![Op::Barrier]),
            ("bar", [mask]) if how == ["warp"] => {
                let (from, mask) = (self.scope.constant(1), self.scope.slot(mask)?);
                let to = slots::NOWHERE;
                Ok(vec![Op::Ballot { to, from, negate: false, kind: Vote::Any, mask }])
            }
            ("call", _) => self.call(operands).map(|call| vec![Op::Call(Box::new(call))]),
            ("mov", [to, from]) if to.starts_with('{') => self.split(to, from, of),
            ("mov", [to, from]) if from.starts_with('{') => self.join(to, from, of),
            ("mov", [to, from]) => self.address(to, from, of),
            ("cvta", [to, from]) => self.window(to, from, how),
            ("setp", [to, a, b, rest @ ..]) => self.set_predicate(to, [a, b], how, of, rest),
            ("set", [to, a, b]) => self.set_number(to, [a, b], how, of),
            ("cvt", [to, from]) => {
                let (to_type, how) = how.split_last().ok_or("a conversion of one type")?;
                let convert = convert::conversion(how, to_type, of).ok_or("the conversion")?;
                let (to, from) = (self.scope.slot(to)?, self.scope.slot(from)?);
                Ok(vec![Op::One(convert, to, from)])
            }
            ("shfl", _) => self.shuffle(operands, how),
            ("vote", _) => self.vote(operands, how),
            ("add" | "addc" | "sub" | "subc" | "mad" | "madc", _)
                if how.contains(&"cc") || name.ends_with('c') =>
            {
                self.carry(name, operands, how, of)
            }
            _ => self.plain(name, operands, how, of),
        }
    }

    fn plain(
        &mut self,
        name: &str,
        operands: &[&str],
        how: &[&str],
        of: &str,
    ) -> Result<Vec<Op>, String> {
        let found = self.scope.slots(operands)?;
        let op = match *found.as_slice() {
            [to, a] => arithmetic::one(name, how, of).map(|f| Op::One(f, to, a)),
            [to, a, b] => arithmetic::two(name, how, of).map(|f| Op::Two(f, to, [a, b])),
            [to, a, b, c] => arithmetic::three(name, how, of).map(|f| Op::Three(f, to, [a, b, c])),
            [to, a, b, c, d] => {
                arithmetic::four(name, how, of).map(|f| Op::Four(f, to, [a, b, c, d]))
            }
            _ => None,
        };
        op.map(|op| vec![op]).ok_or_else(|| "the instruction".to_owned())
    }

    /// A register's parts, of equal width.
    fn parts(&mut self, vector: &str, of: &str) -> Result<(u32, Vec<Slot>), String> {
        let parts = list(vector.trim_start_matches('{').trim_end_matches('}'));
        let bits: u32 = of.trim_start_matches('b').parse().map_err(|_| "the type")?;
        Ok((bits / parts.len().max(1) as u32, self.scope.slots(&parts)?))
    }

    fn split(&mut self, to: &str, from: &str, of: &str) -> Result<Vec<Op>, String> {
        let (bits, parts) = self.parts(to, of)?;
        Ok(vec![Op::Split(bits, parts, self.scope.slot(from)?)])
    }

    fn join(&mut self, to: &str, from: &str, of: &str) -> Result<Vec<Op>, String> {
        let (bits, parts) = self.parts(from, of)?;
        Ok(vec![Op::Join(bits, self.scope.slot(to)?, parts)])
    }

    /// A number, or an address: of local memory it depends on who has called.
    fn address(&mut self, to: &str, from: &str, of: &str) -> Result<Vec<Op>, String> {
        let to = self.scope.slot(to)?;
        if number(from).is_none()
            && let Some(Named::Local(at)) = self.scope.named(from)
        {
            let add = arithmetic::two("add", &[], "u64").ok_or("a sum")?;
            return Ok(vec![Op::Two(add, to, [slots::LOCAL, self.scope.constant(at)])]);
        }
        if of == "pred"
            && let Some(bits) = number(from)
        {
            let from = self.scope.constant(u64::from(bits != 0));
            let same = arithmetic::one("mov", &[], of).ok_or("a predicate")?;
            return Ok(vec![Op::One(same, to, from)]);
        }
        let same = arithmetic::one("mov", &[], of).ok_or("the type")?;
        Ok(vec![Op::One(same, to, self.scope.slot(from)?)])
    }

    /// From an address in a space to one that tells its space, or back.
    fn window(&mut self, to: &str, from: &str, how: &[&str]) -> Result<Vec<Op>, String> {
        let window = match how.last() {
            Some(&"shared") => SHARED_WINDOW,
            Some(&"local") => LOCAL_WINDOW,
            Some(&"global" | &"const") => 0,
            _ => return Err("the space".to_owned()),
        };
        let name = if how.contains(&"to") { "sub" } else { "add" };
        let change = arithmetic::two(name, &[], "u64").ok_or("a sum")?;
        let (to, from) = (self.scope.slot(to)?, self.scope.slot(from)?);
        Ok(vec![Op::Two(change, to, [from, self.scope.constant(window)])])
    }

    fn set_predicate(
        &mut self,
        to: &str,
        [a, b]: [&str; 2],
        how: &[&str],
        of: &str,
        rest: &[&str],
    ) -> Result<Vec<Op>, String> {
        let how: Vec<&str> = how.iter().copied().filter(|word| *word != "ftz").collect();
        let compare = compare::comparison(how[0], of).ok_or("the comparison")?;
        let from = [self.scope.slot(a)?, self.scope.slot(b)?];
        let (to, opposite) = match to.split_once('|') {
            Some((to, opposite)) => (self.scope.slot(to)?, Some(self.scope.slot(opposite)?)),
            None => (self.scope.slot(to)?, None),
        };
        match (&how[1..], rest, opposite) {
            ([], [], None) => Ok(vec![Op::Two(compare, to, from)]),
            ([], [], Some(opposite)) => Ok(vec![Op::Both(compare, [to, opposite], from)]),
            ([with], [other], None) if !other.starts_with('!') => {
                let with = arithmetic::two(with, &[], "pred").ok_or("the comparison")?;
                let (other, found) = (self.scope.slot(other)?, self.scope.new_slot());
                Ok(vec![Op::Two(compare, found, from), Op::Two(with, to, [found, other])])
            }
            _ => Err("the comparison".to_owned()),
        }
    }

    fn set_number(
        &mut self,
        to: &str,
        [a, b]: [&str; 2],
        how: &[&str],
        of: &str,
    ) -> Result<Vec<Op>, String> {
        let [name, to_type] = how else { return Err("the comparison".to_owned()) };
        let compare = compare::comparison(name, of).ok_or("the comparison")?;
        let truth = compare::truth(to_type).ok_or("the type")?;
        let choose = arithmetic::three("selp", &[], "b32").ok_or("a choice")?;
        let (from, found) = ([self.scope.slot(a)?, self.scope.slot(b)?], self.scope.new_slot());
        let choice = [self.scope.constant(truth), self.scope.constant(0), found];
        Ok(vec![Op::Two(compare, found, from), Op::Three(choose, self.scope.slot(to)?, choice)])
    }

    fn shuffle(&mut self, operands: &[&str], how: &[&str]) -> Result<Vec<Op>, String> {
        let kind = match how {
            ["sync", "up"] => Shuffle::Up,
            ["sync", "down"] => Shuffle::Down,
            ["sync", "bfly"] => Shuffle::Butterfly,
            ["sync", "idx"] => Shuffle::Lane,
            _ => return Err("the shuffle".to_owned()),
        };
        let [to, from @ ..] = operands else { return Err("the operands".to_owned()) };
        let (to, was_there) = to.split_once('|').unwrap_or((to, "_"));
        let (to, was_there) = (self.scope.slot(to)?, self.scope.slot(was_there)?);
        let from = self.scope.slots(from)?.try_into().map_err(|_| "the operands")?;
        Ok(vec![Op::Shuffle { kind, to, was_there, from }])
    }

    fn vote(&mut self, operands: &[&str], how: &[&str]) -> Result<Vec<Op>, String> {
        let kind = match how {
            ["sync", "all"] => Vote::All,
            ["sync", "any"] => Vote::Any,
            ["sync", "ballot"] => Vote::Ballot,
            _ => return Err("the vote".to_owned()),
        };
        let [to, from, mask] = operands else { return Err("the operands".to_owned()) };
        let negate = from.starts_with('!');
        let from = self.scope.slot(from.trim_start_matches('!'))?;
        let (to, mask) = (self.scope.slot(to)?, self.scope.slot(mask)?);
        Ok(vec![Op::Ballot { to, from, negate, kind, mask }])
    }

    fn carry(
        &mut self,
        name: &str,
        operands: &[&str],
        how: &[&str],
        of: &str,
    ) -> Result<Vec<Op>, String> {
        let kind = match (name.trim_end_matches('c'), how.first()) {
            ("add", _) => Sum::Add,
            ("sub", _) => Sum::Sub,
            ("mad", Some(&"lo")) => Sum::Low,
            ("mad", Some(&"hi")) => Sum::High,
            _ => return Err("the sum".to_owned()),
        };
        if of != "u32" && of != "s32" {
            return Err("the type".to_owned());
        }
        let carry = Carry { kind, takes: name.ends_with('c'), gives: how.contains(&"cc") };
        let found = self.scope.slots(operands)?;
        match *found.as_slice() {
            [to, a, b] => Ok(vec![Op::Carry(carry, to, [a, b, a])]),
            [to, a, b, c] => Ok(vec![Op::Carry(carry, to, [a, b, c])]),
            _ => Err("the operands".to_owned()),
        }
    }

    fn call(&mut self, operands: &[&'a str]) -> Result<Call, String> {
        let (returned, rest) = match operands {
            [returned, rest @ ..] if returned.starts_with('(') => (list(inner(returned)), rest),
            rest => (Vec::new(), rest),
        };
        let (name, arguments) = match rest {
            [name] => (*name, Vec::new()),
            [name, arguments] => (*name, list(inner(arguments))),
            _ => return Err("a call by address".to_owned()),
        };
        if name.starts_with('%') {
            return Err("a call by address".to_owned());
        }
        let mut places = |names: Vec<&str>| {
            let place = |name: &str| match self.scope.named(name) {
                Some(Named::Call(place)) => Ok(place),
                _ => Err(format!("the argument {name}")),
            };
            names.into_iter().map(place).collect::<Result<Vec<_>, _>>()
        };
        let (arguments, returned) = (places(arguments)?, places(returned)?);
        Ok(Call { name: name.to_owned(), arguments, returned: returned.first().copied() })
    }
}

fn inner(list: &str) -> &str {
    list.trim_start_matches('(').trim_end_matches(')')
}
