//! PTX as text: statements, the operands of one, numbers.

/// What a body is made of, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statement<'a> {
    Open,
    Close,
    Label(&'a str),
    /// An instruction or a declaration, without its semicolon.
    Line(&'a str),
}

/// The text with spaces for its comments.
pub(crate) fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.find("//") {
            Some(at) => {
                plain.push_str(&line[..at]);
                plain.push('\n');
            }
            None => plain.push_str(line),
        }
    }
    plain
}

/// The statements of a body; braces within a line hold the parts of a vector.
pub(crate) fn statements(body: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut rest = body.trim_start();
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '{' => {
                statements.push(Statement::Open);
                &rest[1..]
            }
            '}' => {
                statements.push(Statement::Close);
                &rest[1..]
            }
            ';' => &rest[1..],
            _ => {
                let end = rest.find([';', ':']).unwrap_or(rest.len());
                let is_label = rest[end..].starts_with(':') && !rest[end..].starts_with("::");
                let name = &rest[..end];
                if is_label && name.chars().all(|c| c.is_alphanumeric() || "_$%".contains(c)) {
                    statements.push(Statement::Label(name));
                    &rest[end + 1..]
                } else {
                    let end = rest.find(';').unwrap_or(rest.len());
                    statements.push(Statement::Line(rest[..end].trim_end()));
                    rest.get(end + 1..).unwrap_or_default()
                }
            }
        };
        rest = rest.trim_start();
    }
    statements
}

/// An instruction's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// The predicate that it depends on, and whether it is to be false.
    pub(crate) guard: Option<(&'a str, bool)>,
    /// The name and what follows it after dots.
    pub(crate) words: Vec<&'a str>,
    pub(crate) operands: Vec<&'a str>,
}

pub(crate) fn line(text: &str) -> Line<'_> {
    let mut text = text.trim();
    let mut guard = None;
    if let Some(rest) = text.strip_prefix('@') {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let name = &rest[..end];
        guard = Some((name.trim_start_matches('!'), name.starts_with('!')));
        text = rest[end..].trim_start();
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '(').unwrap_or(text.len());
    // The two colons of `L1::no_allocate` stay within a word.
    let words = text[..end].split('.').collect();
    Line { guard, words, operands: list(&text[end..]) }
}

/// What stands between commas that no bracket encloses.
pub(crate) fn list(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        parts.push(last);
    }
    parts
}

/// The bits of a number as PTX writes it: whole, `0f` and the bits of a float, `0d` and those of a double.
pub(crate) fn number(text: &str) -> Option<u64> {
    let (text, is_negative) = match text.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let hexadecimal = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let bits = if let Some(digits) = text.strip_prefix("0f").or_else(|| text.strip_prefix("0F")) {
        hexadecimal(digits)?
    } else if let Some(digits) = text.strip_prefix("0d").or_else(|| text.strip_prefix("0D")) {
        hexadecimal(digits)?
    } else if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        hexadecimal(digits.trim_end_matches('U'))?
    } else {
        text.trim_end_matches('U').parse().ok()?
    };
    Some(if is_negative { bits.wrapping_neg() } else { bits })
}

/// The bytes of a number of a type, `b32` and the like; none of a predicate.
pub(crate) fn bytes(of: &str) -> Option<usize> {
    match of.trim_start_matches(['b', 'u', 's', 'f']) {
        "8" => Some(1),
        "16" | "16x2" if of.ends_with("x2") => Some(4),
        "16" => Some(2),
        "32" => Some(4),
        "64" => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_parts() {
        let found = line("@!%p1 ld.global.nc.v2.f32 {%f1, %f2}, [%rd1+8]");
        assert_eq!(found.guard, Some(("%p1", true)));
        assert_eq!(found.words, ["ld", "global", "nc", "v2", "f32"]);
        assert_eq!(found.operands, ["{%f1, %f2}", "[%rd1+8]"]);
        let call = line("call.uni (retval0), \n f, \n(\nparam0,\nparam1\n)");
        assert_eq!(call.operands, ["(retval0)", "f", "(\nparam0,\nparam1\n)"]);
    }

    #[test]
    fn bodies_have_statements() {
        use Statement::{Close, Label, Line, Open};
        let found = statements("\n{.reg .b16 c;\n mov.b16 c, 1;}\n$L_1:\n ret;\n");
        let expected =
            [Open, Line(".reg .b16 c"), Line("mov.b16 c, 1"), Close, Label("$L_1"), Line("ret")];
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_are_bits() {
        assert_eq!(number("0f3F800000"), Some(0x3f80_0000));
        assert_eq!(number("0x80U"), Some(0x80));
        assert_eq!(number("-2"), Some(u64::MAX - 1));
        assert_eq!(number("%r1"), None);
    }
}
