//! Lines of at most [`WIDTH`] characters, with what could deceive a reader made visible in one place.

use schemas::time::Timestamp;

use super::visible::visible;

/// Characters of the longest line.
pub const WIDTH: usize = 100;

/// Text under construction.
#[derive(Default)]
pub(super) struct Page {
    pub(super) out: String,
}

impl Page {
    /// Adds a line, indented and wrapped with the rest indented by two more.
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        self.hanging(indent, indent + 2, text);
    }

    /// Adds a line whose wrapped rest begins at `hang`.
    pub(super) fn hanging(&mut self, indent: usize, hang: usize, text: &str) {
        let shown: Vec<char> = visible(text).chars().collect();
        let (mut rest, mut indent) = (shown.as_slice(), indent);
        loop {
            let (now, later) = split(rest, WIDTH - indent.min(WIDTH / 2));
            let line: String = now.iter().collect();
            self.out.extend(std::iter::repeat_n(' ', indent));
            self.out.push_str(line.trim_end());
            self.out.push('\n');
            if later.is_empty() {
                return;
            }
            (rest, indent) = (later, hang);
        }
    }

    pub(super) fn heading(&mut self, heading: &str) {
        self.out.push('\n');
        self.line(0, heading);
    }
}

/// The time to the second, in two words.
pub(super) fn day_time(time: Timestamp) -> String {
    let shown = time.to_string();
    shown.get(..19).unwrap_or(&shown).replace('T', " ")
}

/// Milli-bits as bits.
pub(super) fn bits(milli: i64) -> String {
    let sign = if milli < 0 { "-" } else { "" };
    let size = milli.unsigned_abs();
    format!("{sign}{}.{:03}", size / 1_000, size % 1_000)
}

/// Milli-bits as bits, with their sign.
pub(super) fn signed(milli: i64) -> String {
    let sign = if milli < 0 { "" } else { "+" };
    format!("{sign}{}", bits(milli))
}

/// The text in a column of so many characters.
pub(super) fn column(text: &str, width: usize) -> String {
    let shown = visible(text);
    if shown.chars().count() <= width {
        return format!("{shown:<width$}");
    }
    let cut: String = shown.chars().take(width - 1).collect();
    format!("{cut}…")
}

/// Splits at the last space that leaves at most `width` characters, or at `width` where there is none.
fn split(text: &[char], width: usize) -> (&[char], &[char]) {
    let Some((now, later)) = text
        .split_at_checked(width)
        .filter(|(_, later)| !later.is_empty())
    else {
        return (text, &[]);
    };
    // A break in the first half would leave a ragged page: such a long word is cut.
    match now
        .iter()
        .rposition(|character| *character == ' ')
        .filter(|space| *space > width / 2)
    {
        Some(space) => text.split_at_checked(space + 1).unwrap_or((now, later)),
        None => (now, later),
    }
}
