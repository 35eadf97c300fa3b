//! A module's text: where its functions and variables are.

use std::collections::BTreeMap;
use std::ops::Range;

use super::decode;
use super::function::Function;
use super::text::{bytes, list, number, without_comments};

/// Gives the address of a module's variable, if there is one of that name.
pub(crate) type Resolve<'a> = dyn FnMut(&str) -> Option<u64> + 'a;

#[derive(Debug)]
pub(crate) struct Module {
    text: String,
    functions: BTreeMap<String, Piece>,
    variables: BTreeMap<String, Range<usize>>,
    /// Names of shared memory that a launch gives.
    pub(crate) dynamic: Vec<String>,
}

/// Where a function's head and body are; one that is elsewhere has no body.
#[derive(Debug)]
struct Piece {
    is_entry: bool,
    head: Range<usize>,
    body: Option<Range<usize>>,
}

/// What is declared as a parameter or variable: its bytes, and what they are aligned to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Declared<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: usize,
    pub(crate) align: usize,
}

/// Reads `.param .align 8 .b8 name[16]` and the like, from its type on.
pub(crate) fn declared(text: &str) -> Option<Declared<'_>> {
    let mut words = text.split_whitespace();
    let (mut width, mut align, mut last) = (None, None, None);
    while let Some(word) = words.next() {
        match word.strip_prefix('.') {
            Some("align") => align = words.next()?.parse().ok(),
            Some(of) => width = bytes(of).or(width),
            None => last = Some(word),
        }
    }
    let (width, last) = (width?, last?);
    let (name, count) = match last.split_once('[') {
        Some((name, count)) => (name, count.trim_end_matches(']').parse().unwrap_or(0)),
        None => (last, 1),
    };
    Some(Declared { name, bytes: width * count, align: align.unwrap_or(width).max(1) })
}

impl Module {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let text = without_comments(text);
        let mut module = Self {
            functions: BTreeMap::new(),
            variables: BTreeMap::new(),
            dynamic: Vec::new(),
            text: String::new(),
        };
        if !text.trim_start().starts_with(".version") {
            return Err("a module that is no PTX".to_owned());
        }
        let mut at = 0;
        while at < text.len() {
            at = module.read(&text, at)?;
        }
        module.text = text;
        Ok(module)
    }

    /// Takes in what begins in this line; where the next line begins.
    fn read(&mut self, text: &str, at: usize) -> Result<usize, String> {
        let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
        let line = text[at..line_end].trim();
        let is_function = line.contains(".entry") || line.contains(".func");
        let is_variable = [".global", ".const", ".shared"].iter().any(|space| line.contains(space));
        if !line.starts_with('.') || !is_function && !is_variable {
            return Ok(line_end);
        }
        if is_function {
            return self.function_at(text, at);
        }
        let end = text[at..].find(';').map(|end| at + end).ok_or("a variable without an end")?;
        let head = text[at..end].split('=').next().unwrap_or_default();
        let found = declared(head.trim()).ok_or_else(|| format!("a variable like `{line}`"))?;
        if head.contains(".shared") {
            if found.bytes > 0 {
                return Err(format!("shared memory outside of a function, `{line}`"));
            }
            self.dynamic.push(found.name.to_owned());
        } else {
            self.variables.insert(found.name.to_owned(), at..end);
        }
        Ok(end + 1)
    }

    fn function_at(&mut self, text: &str, at: usize) -> Result<usize, String> {
        let rest = &text[at..];
        let end = rest.find(['{', ';']).ok_or("a function without an end")?;
        let head = at..at + end;
        let is_entry = text[head.clone()].contains(".entry");
        let name = name_of(&text[head.clone()]).ok_or("a function without a name")?.to_owned();
        if rest[end..].starts_with(';') {
            self.functions.entry(name).or_insert(Piece { is_entry, head, body: None });
            return Ok(at + end + 1);
        }
        let mut depth = 0usize;
        for (place, byte) in rest.bytes().enumerate().skip(end) {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let body = Some(at + end + 1..at + place);
                self.functions.insert(name, Piece { is_entry, head, body });
                return Ok(at + place + 1);
            }
        }
        Err(format!("the function {name} without an end"))
    }

    pub(crate) fn has_entry(&self, name: &str) -> bool {
        self.functions.get(name).is_some_and(|piece| piece.is_entry)
    }

    /// A function as the machine runs it. One without a body is `None`.
    pub(crate) fn function(
        &self,
        name: &str,
        resolve: &mut Resolve<'_>,
    ) -> Result<Option<Function>, String> {
        let piece = self.functions.get(name).ok_or_else(|| format!("no function {name}"))?;
        let Some(body) = piece.body.clone() else { return Ok(None) };
        let (returned, params) = signature(&self.text[piece.head.clone()])
            .ok_or_else(|| format!("the parameters of {name}"))?;
        let head = decode::Head { name, returned, params };
        decode::function(&head, &self.text[body], &self.dynamic, resolve).map(Some)
    }

    /// The bytes that a variable has at first.
    pub(crate) fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let text = &self.text[self.variables.get(name)?.clone()];
        let (head, values) = match text.split_once('=') {
            Some((head, values)) => (head.trim(), values.trim()),
            None => (text.trim(), ""),
        };
        let found = declared(head)?;
        let width = head.split_whitespace().find_map(|word| bytes(word.strip_prefix('.')?))?;
        let mut filled = Vec::new();
        for value in list(values.trim_start_matches('{').trim_end_matches('}')) {
            filled.extend(&number(value)?.to_le_bytes()[..width]);
        }
        filled.resize(found.bytes, 0);
        Some(filled)
    }
}

fn name_of(head: &str) -> Option<&str> {
    let (_, rest) = head.split_once(".entry").or_else(|| head.split_once(".func"))?;
    let mut rest = rest.trim_start();
    if rest.starts_with('(') {
        // What it returns stands before its name.
        rest = rest.split_once(')')?.1.trim_start();
    }
    rest.split(|c: char| c.is_whitespace() || c == '(').next()
}

/// What a function returns and takes, as it is declared.
fn signature(head: &str) -> Option<(Vec<Declared<'_>>, Vec<Declared<'_>>)> {
    let name = name_of(head)?;
    let (before, after) = head.split_at(head.find(&format!("{name}\n")).or_else(|| {
        let at = head.find(&format!("{name}("))?;
        Some(at)
    })?);
    let within = |text: &'_ str| -> Option<(usize, usize)> {
        let start = text.find('(')?;
        Some((start + 1, start + text[start..].find(')')?))
    };
    let read = |text| list(text).into_iter().map(declared).collect::<Option<Vec<_>>>();
    let returned = match within(before) {
        Some((start, end)) => read(&before[start..end])?,
        None => Vec::new(),
    };
    let params = match within(after) {
        Some((start, end)) => read(&after[start..end])?,
        None => Vec::new(),
    };
    Some((returned, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_have_names_and_parameters() {
        let head = ".func  (.param .align 8 .b8 func_retval0[16]) f(\n\t.param .b64 f_param_0\n)\n";
        assert_eq!(name_of(head), Some("f"));
        let (returned, params) = signature(head).unwrap();
        assert_eq!(returned[0], Declared { name: "func_retval0", bytes: 16, align: 8 });
        assert_eq!(params[0], Declared { name: "f_param_0", bytes: 8, align: 8 });
        assert_eq!(name_of(".visible .entry add_1(\n"), Some("add_1"));
    }

    #[test]
    fn variables_have_bytes() {
        let text =
            ".version 9.0\n.global .align 4 .u32 v[3] = {1, 0x2};\n.entry e()\n{\n\tret;\n}\n";
        let module = Module::new(text).unwrap();
        assert_eq!(module.variable("v").unwrap(), [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert!(module.has_entry("e"));
        assert_eq!(module.function("e", &mut |_| None).unwrap().unwrap().code.len(), 2);
    }
}
