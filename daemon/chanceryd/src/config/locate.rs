//! Where in the text a key is, so that a message can name the line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;
use super::check::Unplaced;

/// Places problems that name a key.
pub(super) fn problems(text: &str, problems: Vec<Unplaced>) -> Vec<Problem> {
    let document = DeTable::parse(text).ok();
    let place = |Unplaced { key, message }| {
        let offset = document.as_ref().map_or(0, |document| offset_of(document, &key));
        Problem {
            line: line_of(text, offset),
            key,
            message,
        }
    };
    let mut placed: Vec<Problem> = problems.into_iter().map(place).collect();
    placed.sort_by_key(|problem| problem.line);
    placed
}

/// Places what the TOML parser or serde did not understand.
pub(super) fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let offset = error.span().map_or(0, |span| span.start);
    let (document, _errors) = DeTable::parse_recoverable(text);
    let key = key_at(&document, offset);
    let message = if key.split('.').any(|part| part == "pin") {
        // serde quotes what it did not expect, and that may be the PIN itself.
        "must say where the PIN comes from, { credential = … }, { file = … } or { environment = … }; never the PIN itself"
            .to_owned()
    } else {
        error
            .message()
            .replace('\n', "; ")
            .replace("expected i64", "expected an integer")
    };
    Problem {
        line: line_of(text, offset),
        key,
        message,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// The offset of a key such as `token[0].pin.file`, or of the last part of it that is there.
fn offset_of(document: &Spanned<DeTable<'_>>, key: &str) -> usize {
    let mut table = document.get_ref();
    let mut offset = 0;
    for part in key.split('.') {
        let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index)) => (name, index.parse::<usize>().ok()),
            None => (part, None),
        };
        let Some((found, value)) = table.iter().find(|(found, _)| found.get_ref() == name) else {
            return offset;
        };
        offset = found.span().start;
        let value = match index {
            Some(index) => match value.get_ref().as_array().and_then(|array| array.get(index)) {
                Some(element) => {
                    offset = element.span().start;
                    element
                }
                None => return offset,
            },
            None => value,
        };
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => return offset,
        }
    }
    offset
}

/// The key whose name or value holds the offset, as deep as it goes.
fn key_at(document: &Spanned<DeTable<'_>>, offset: usize) -> String {
    let mut path = String::new();
    descend(document.get_ref(), offset, &mut path);
    path
}

fn descend(table: &DeTable<'_>, offset: usize, path: &mut String) -> bool {
    for (key, value) in table {
        let mark = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key.get_ref());
        let here = key.span().contains(&offset) || value.span().contains(&offset);
        if into(value, offset, path) || here {
            return true;
        }
        path.truncate(mark);
    }
    false
}

fn into(value: &Spanned<DeValue<'_>>, offset: usize, path: &mut String) -> bool {
    if let Some(table) = value.get_ref().as_table() {
        return descend(table, offset, path);
    }
    for (index, element) in value.get_ref().as_array().into_iter().flatten().enumerate() {
        let mark = path.len();
        path.push_str(&format!("[{index}]"));
        if into(element, offset, path) || element.span().contains(&offset) {
            return true;
        }
        path.truncate(mark);
    }
    false
}
