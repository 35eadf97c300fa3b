//! Sentences out of a grammar in EBNF, as far as the grammar of actions needs it.

use std::collections::BTreeMap;

/// Productions by name.
pub(crate) struct Grammar(BTreeMap<String, Node>);

enum Node {
    Word(String),
    Name(String),
    Choice(Vec<Node>),
    Sequence(Vec<Node>),
    Repeated(Box<Node>),
}

impl Grammar {
    /// Reads `name = definition ;` and so on.
    pub(crate) fn read(text: &str) -> Self {
        let mut tokens = tokens(text).into_iter().peekable();
        let mut productions = BTreeMap::new();
        while let Some(name) = tokens.next() {
            assert_eq!(tokens.next().unwrap(), "=", "behind {name}");
            productions.insert(name, choice(&mut tokens));
            assert_eq!(tokens.next().unwrap(), ";");
        }
        Self(productions)
    }

    /// A sentence of a name; another seed gives another one.
    pub(crate) fn sentence(&self, name: &str, seed: u64) -> String {
        let mut text = String::new();
        self.write(&self.0[name], &mut (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), &mut text);
        text
    }

    fn write(&self, node: &Node, random: &mut u64, text: &mut String) {
        match node {
            Node::Word(word) => text.push_str(word),
            Node::Name(name) => self.write(&self.0[name], random, text),
            Node::Choice(nodes) => self.write(&nodes[below(nodes.len(), random)], random, text),
            Node::Sequence(nodes) => nodes.iter().for_each(|node| self.write(node, random, text)),
            Node::Repeated(node) => {
                for _ in 0..below(4, random) {
                    self.write(node, random, text);
                }
            }
        }
    }
}

/// Marsaglia's xorshift.
fn below(limit: usize, random: &mut u64) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    usize::try_from(*random >> 33).unwrap() % limit
}

/// Quoted words with one quote in front, names, and signs.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => rest[1..].find('"').unwrap() + 1,
            _ if first.is_ascii_alphabetic() => rest.find(|c: char| !c.is_alphabetic()).unwrap(),
            _ => first.len_utf8(),
        };
        tokens.push(rest[..end].to_owned());
        rest = rest[end..].trim_start_matches('"').trim_start();
    }
    tokens
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<String>>;

fn choice(tokens: &mut Tokens) -> Node {
    Node::Choice(separated(tokens, "|", |tokens| Node::Sequence(separated(tokens, ",", term))))
}

fn separated(tokens: &mut Tokens, sign: &str, part: fn(&mut Tokens) -> Node) -> Vec<Node> {
    let mut parts = vec![part(tokens)];
    while tokens.next_if(|token| token == sign).is_some() {
        parts.push(part(tokens));
    }
    parts
}

fn term(tokens: &mut Tokens) -> Node {
    let token = tokens.next().unwrap();
    let mut inside = |end: &str| {
        let node = choice(tokens);
        assert_eq!(tokens.next().unwrap(), end);
        node
    };
    match token.as_str() {
        "(" => inside(")"),
        "{" => Node::Repeated(Box::new(inside("}"))),
        _ => match token.strip_prefix('"') {
            Some(word) => Node::Word(word.to_owned()),
            None => Node::Name(token),
        },
    }
}
