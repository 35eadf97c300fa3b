//! Instructions that read and write memory.

use super::arithmetic;
use super::function::{Access, Atom, Op, Slot, Space, slots};
use super::scope::{Named, Scope};
use super::text::{bytes, list, number};

/// What says how memory is cached and ordered: everything here is in order.
const ORDER: [&str; 17] = [
    "nc", "volatile", "relaxed", "acquire", "release", "acq_rel", "weak", "gpu", "cta", "sys",
    "ca", "cg", "cs", "cv", "wb", "wt", "lu",
];

fn space(word: &str) -> Option<Space> {
    match word {
        "global" | "const" => Some(Space::Global),
        "shared" | "shared::cta" => Some(Space::Shared),
        "local" => Some(Space::Local),
        "param" => Some(Space::Param),
        _ => None,
    }
}

/// What an address in brackets begins with, and what is added; `space` may turn out to be a call's.
fn address(
    scope: &mut Scope<'_, '_>,
    operand: &str,
    space: Space,
) -> Result<(Space, Slot, u64), String> {
    let within = operand.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let within = within.ok_or_else(|| format!("the address {operand}"))?.trim();
    let (name, offset) = match within.find('+') {
        Some(at) => (within[..at].trim(), within[at + 1..].trim()),
        None => (within, "0"),
    };
    let offset = number(offset).ok_or_else(|| format!("the address {operand}"))?;
    if let Some(absolute) = number(name) {
        return Ok((space, scope.constant(absolute), offset));
    }
    match (scope.named(name), space) {
        (Some(Named::Param(place)), Space::Param) => {
            Ok((Space::Param, scope.constant(place.at as u64), offset))
        }
        (Some(Named::Call(place)), Space::Param) => {
            Ok((Space::Call, scope.constant(place.at as u64), offset))
        }
        (Some(Named::Register(slot)), _) => Ok((space, slot, offset)),
        (Some(Named::Address(address)), _) => Ok((space, scope.constant(address), offset)),
        _ => Err(format!("the address {operand}")),
    }
}

/// The space, the type and the count of numbers that the words after a name tell of.
fn shape<'a>(words: &[&'a str]) -> Result<(Space, &'a str, usize, Vec<&'a str>), String> {
    let (mut found, mut count, mut rest) = (Space::Generic, 1, Vec::new());
    let (of, words) = words.split_last().ok_or("no type")?;
    for &word in words {
        match word {
            "v2" => count = 2,
            "v4" => count = 4,
            _ if space(word).is_some() => found = space(word).unwrap_or(Space::Generic),
            _ if ORDER.contains(&word) || word.starts_with("L1:") || word.starts_with("L2:") => {}
            _ => rest.push(word),
        }
    }
    Ok((found, of, count, rest))
}

pub(super) fn instruction(
    scope: &mut Scope<'_, '_>,
    words: &[&str],
    operands: &[&str],
) -> Result<Option<Op>, String> {
    let (name, words) = (words[0], &words[1..]);
    if !["ld", "ldu", "st", "atom", "red"].contains(&name) {
        return Ok(None);
    }
    let (space, of, count, rest) = shape(words)?;
    let width = bytes(of).ok_or_else(|| format!("the type {of}"))? as u32;
    let access = |scope: &mut _, operand| {
        let (space, base, offset) = address(scope, operand, space)?;
        let is_signed = of.starts_with('s');
        Ok::<_, String>(Access { space, base, offset, bytes: width, is_signed })
    };
    let vector = |scope: &mut Scope<'_, '_>, operand: &str| {
        let parts = list(operand.trim_start_matches('{').trim_end_matches('}'));
        if parts.len() == count { scope.slots(&parts) } else { Err(format!("the parts {operand}")) }
    };
    match (name, operands) {
        ("ld" | "ldu", [to, from]) if rest.is_empty() => {
            let access = access(scope, from)?;
            Ok(Some(Op::Load(access, vector(scope, to)?)))
        }
        ("st", [to, from]) if rest.is_empty() => {
            let access = access(scope, to)?;
            Ok(Some(Op::Store(access, vector(scope, from)?)))
        }
        ("atom", [old, at, with @ ..]) => {
            let (access, old) = (access(scope, at)?, scope.slot(old)?);
            atom(scope, &rest, of, with).map(|(atom, with)| Some(Op::Atom(atom, access, old, with)))
        }
        ("red", [at, with @ ..]) => {
            let access = access(scope, at)?;
            let (atom, with) = atom(scope, &rest, of, with)?;
            Ok(Some(Op::Atom(atom, access, slots::NOWHERE, with)))
        }
        _ => Ok(None),
    }
}

fn atom(
    scope: &mut Scope<'_, '_>,
    how: &[&str],
    of: &str,
    with: &[&str],
) -> Result<(Atom, [Slot; 2]), String> {
    let how: Vec<&str> = how.iter().copied().filter(|word| *word != "noftz").collect();
    let atom = match how.as_slice() {
        ["cas"] => Atom::CompareAndSwap,
        ["exch"] => Atom::Swap,
        [name @ ("add" | "and" | "or" | "xor" | "min" | "max")] => {
            let of = if matches!(*name, "min" | "max") { of } else { &of.replace('b', "u") };
            let of = if of == "uf16" { "bf16" } else { of };
            let with = arithmetic::two(name, &[], of);
            Atom::With(with.ok_or_else(|| format!("the type {of}"))?)
        }
        _ => return Err(format!("an atomic {how:?}")),
    };
    let with = scope.slots(with)?;
    match with.as_slice() {
        [a] => Ok((atom, [*a, *a])),
        [a, b] => Ok((atom, [*a, *b])),
        _ => Err("an atomic's operands".to_owned()),
    }
}
