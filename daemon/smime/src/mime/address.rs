//! Address lists (RFC 5322, section 3.4, with the obsolete forms of section 4.4): only the addr-specs matter here.

/// The addr-specs of an unfolded address list, in order. Display names, comments, group names and routes are left out;
/// domains are in lower case; a quoted local part that needs no quotes loses them. An entry that is no address is returned
/// as it stands. Empty entries and empty groups give nothing.
pub(crate) fn addresses(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut entry = Entry::default();
    let mut rest = list.chars();
    while let Some(character) = rest.next() {
        match character {
            '(' => skip_comment(&mut rest),
            '"' => entry.push_quoted(&mut rest),
            '[' => entry.push_literal(&mut rest),
            '<' => entry.open_angle(),
            '>' => entry.close_angle(),
            ',' if entry.is_in_route() => entry.push(','),
            ':' if entry.angle == Angle::Open => entry.end_route(),
            // The name of a group. One that could be taken for an address counts as one.
            ':' if entry.at.is_none() => entry = Entry::default(),
            ':' => found.extend(std::mem::take(&mut entry).addr_spec()),
            ',' | ';' => found.extend(std::mem::take(&mut entry).addr_spec()),
            _ => entry.push(character),
        }
    }
    found.extend(entry.addr_spec());
    found
}

/// One entry of the list while it is read.
#[derive(Default)]
struct Entry {
    /// As it stands, apart from comments.
    text: String,
    /// What may be the addr-spec: all of it, or what is in angle brackets; without white space.
    address: String,
    /// Where the last `@` outside of quotes stands in `address`.
    at: Option<usize>,
    angle: Angle,
    /// A word is complete: only a dot or an `@` may follow.
    word_ended: bool,
    /// Something that no addr-spec has.
    broken: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Angle {
    #[default]
    None,
    Open,
    Closed,
}

impl Entry {
    fn push(&mut self, character: char) {
        self.text.push(character);
        if character.is_whitespace() {
            self.word_ended |= !self.address.is_empty() && !self.address.ends_with(['.', '@', ',']);
            return;
        }
        self.broken |= self.angle == Angle::Closed;
        self.broken |= self.word_ended && !matches!(character, '.' | '@' | ',');
        self.word_ended = false;
        if character == '@' {
            self.broken |= self.at.is_some() && !self.is_in_route();
            self.at = Some(self.address.len());
        }
        self.address.push(character);
    }

    fn push_quoted(&mut self, rest: &mut std::str::Chars<'_>) {
        let mut content = String::new();
        let mut closed = false;
        let before = rest.as_str();
        while let Some(character) = rest.next() {
            match character {
                '"' => {
                    closed = true;
                    break;
                }
                '\\' => content.extend(rest.next()),
                _ => content.push(character),
            }
        }
        let read = before.len() - rest.as_str().len();
        self.text.push('"');
        self.text.push_str(before.get(..read).unwrap_or_default());
        // Quotes belong around a whole word of a local part, and nowhere else.
        let starts_word = self.address.is_empty() || self.address.ends_with('.');
        self.broken |= !closed || !starts_word || self.at.is_some() || self.angle == Angle::Closed;
        self.word_ended = true;
        let quoted = if is_dot_atom(&content) {
            content
        } else {
            quote(&content)
        };
        self.address.push_str(&quoted);
    }

    fn push_literal(&mut self, rest: &mut std::str::Chars<'_>) {
        self.push('[');
        for character in rest.by_ref() {
            self.push(character);
            if character == ']' {
                break;
            }
        }
    }

    fn open_angle(&mut self) {
        self.text.push('<');
        // A second pair of brackets would let two readers see two addresses.
        self.broken = self.angle != Angle::None;
        self.angle = Angle::Open;
        self.restart_address();
    }

    fn close_angle(&mut self) {
        self.text.push('>');
        self.broken |= self.angle != Angle::Open;
        self.angle = Angle::Closed;
    }

    /// In `<@one,@two:user@example.org>`, before the colon.
    fn is_in_route(&self) -> bool {
        self.angle == Angle::Open && self.address.starts_with('@')
    }

    fn end_route(&mut self) {
        self.text.push(':');
        self.broken |= !self.address.starts_with('@');
        self.restart_address();
    }

    fn restart_address(&mut self) {
        self.address.clear();
        self.at = None;
        self.word_ended = false;
    }

    fn addr_spec(self) -> Option<String> {
        let text = self.text.trim();
        if text.is_empty() {
            return None;
        }
        let parts = self.at.and_then(|at| self.address.split_at_checked(at));
        match parts {
            Some((local, domain))
                if !self.broken && self.angle != Angle::Open && !local.is_empty() && domain.len() > 1 =>
            {
                Some(format!("{local}{}", domain.to_lowercase()))
            }
            _ => Some(text.to_owned()),
        }
    }
}

fn skip_comment(rest: &mut std::str::Chars<'_>) {
    let mut depth = 1_usize;
    while depth > 0 {
        match rest.next() {
            Some('(') => depth += 1,
            Some(')') => depth -= 1,
            Some('\\') => drop(rest.next()),
            Some(_) => {}
            None => return,
        }
    }
}

fn is_dot_atom(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom
                .chars()
                .all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    text.split('.').all(is_atom)
}

fn quote(content: &str) -> String {
    let mut quoted = String::with_capacity(content.len() + 2);
    quoted.push('"');
    for character in content.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}
