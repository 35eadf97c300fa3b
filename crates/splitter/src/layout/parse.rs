//! From text to a layout, in one pass and with bounds on what a short text can stand for.

use std::str::FromStr;

use super::{Layout, LayoutError, LayoutStage};

/// The most letters and `|` that a layout stands for.
const MOST_LETTERS: usize = 100_000;

/// The most groups within groups.
const MOST_DEEP: usize = 16;

const LETTERS: &str = "`E`, `t`, `m`, `L`, `|` or `(`";

/// A letter, how often it stands there, and where in the text.
#[derive(Clone, Copy, Debug)]
struct Run {
    letter: char,
    count: usize,
    position: usize,
}

/// What has been read of a group that is still open, or of the whole text.
#[derive(Debug, Default)]
struct Group {
    /// Where its `(` is.
    begin: usize,
    runs: Vec<Run>,
    num_letters: usize,
    /// Where the last thing in it begins that can be repeated: the first of its runs, which are all
    /// of the same group, and its number of letters.
    repeatable: Option<(usize, usize)>,
}

impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        let stages = stages(text, &read(text)?)?;
        Ok(Self { stages })
    }
}

/// The letters of the text, with all repetitions.
fn read(text: &str) -> Result<Vec<Run>, LayoutError> {
    let error = |position, message: String| LayoutError::new(text, position, message);
    let mut open = Vec::new();
    let mut group = Group::default();
    let mut characters = text.chars().enumerate().peekable();
    while let Some((position, character)) = characters.next() {
        match character {
            'E' | 't' | 'm' | 'L' => {
                group.repeatable = Some((group.runs.len(), 1));
                group.runs.push(Run { letter: character, count: 1, position });
                group.num_letters += 1;
            }
            '|' => {
                group.repeatable = None;
                group.runs.push(Run { letter: character, count: 1, position });
                group.num_letters += 1;
            }
            '(' if open.len() == MOST_DEEP => {
                return Err(error(position, format!("groups are at most {MOST_DEEP} deep")));
            }
            '(' => {
                let inner = Group { begin: position, ..Group::default() };
                open.push(std::mem::replace(&mut group, inner));
            }
            ')' => {
                let Some(outer) = open.pop() else {
                    return Err(error(position, format!("`)` without `(`, expected {LETTERS}")));
                };
                if group.runs.is_empty() {
                    return Err(error(position, format!("a group of nothing, expected {LETTERS}")));
                }
                let mut inner = std::mem::replace(&mut group, outer);
                group.repeatable = Some((group.runs.len(), inner.num_letters));
                group.runs.append(&mut inner.runs);
                group.num_letters += inner.num_letters;
            }
            '*' => {
                let Some((first, num_letters)) = group.repeatable.take() else {
                    let message = format!("`*` repeats a letter or a group, expected {LETTERS}");
                    return Err(error(position, message));
                };
                let mut digits = String::new();
                while let Some((_, digit)) = characters.next_if(|(_, c)| c.is_ascii_digit()) {
                    digits.push(digit);
                }
                if digits.is_empty() {
                    let message = "expected a number of at least 1 after `*`".to_owned();
                    return Err(error(position + 1, message));
                }
                // What does not fit a usize is too large as well.
                let times = digits.parse().unwrap_or(usize::MAX);
                if times == 0 {
                    let message = "`*0` repeats nothing, expected a number of at least 1";
                    return Err(error(position + 1, message.to_owned()));
                }
                let more = (times - 1).saturating_mul(num_letters);
                group.num_letters = group.num_letters.saturating_add(more);
                if group.num_letters <= MOST_LETTERS {
                    repeat(&mut group.runs, first, times);
                }
            }
            ',' => {}
            _ if character.is_whitespace() => {}
            _ => {
                let message =
                    format!("`{}` means nothing, expected {LETTERS}", character.escape_debug());
                return Err(error(position, message));
            }
        }
        if group.num_letters > MOST_LETTERS {
            let message = format!("more than {MOST_LETTERS} letters; a model has fewer layers");
            return Err(error(position, message));
        }
    }
    if open.is_empty() {
        Ok(group.runs)
    } else {
        Err(error(group.begin, "`(` without `)`".to_owned()))
    }
}

fn repeat(runs: &mut Vec<Run>, first: usize, times: usize) {
    if let [run] = &mut runs[first..] {
        run.count *= times;
        return;
    }
    let part = runs[first..].to_vec();
    for _ in 1..times {
        runs.extend_from_slice(&part);
    }
}

/// Cuts the letters at `|`, or at none for a text of nothing.
fn stages(text: &str, runs: &[Run]) -> Result<Vec<LayoutStage>, LayoutError> {
    if runs.is_empty() {
        let end = text.chars().count();
        return Err(LayoutError::new(text, end, format!("expected {LETTERS}")));
    }
    let mut stages = vec![LayoutStage::default()];
    for &Run { letter, count, position } in runs {
        if letter == '|' {
            stages.extend(std::iter::repeat_n(LayoutStage::default(), count));
            continue;
        }
        let number = stages.len() - 1;
        let Some(stage) = stages.last_mut() else { continue };
        // A stage computes in this order, so what comes after the letter has not been there yet.
        let mut after =
            stage.counts().into_iter().skip_while(|(other, _)| *other != letter).skip(1);
        if let Some((later, _)) = after.find(|(_, count)| *count > 0) {
            let message = format!(
                "stage {number} has `{letter}` after `{later}`, the order in a stage is E, t, m, L"
            );
            return Err(LayoutError::new(text, position, message));
        }
        *match letter {
            'E' => &mut stage.embeddings,
            't' => &mut stage.layers,
            'm' => &mut stage.predictions,
            _ => &mut stage.losses,
        } += count;
    }
    Ok(stages)
}
